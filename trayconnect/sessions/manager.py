"""All sessions: one queue of events, one thread that steps the machines and gives the orders."""

from __future__ import annotations

import heapq
import itertools
import logging
import queue
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trayconnect.config.model import Config
from trayconnect.core.link import Link
from trayconnect.services.protocol import LookAgain, Order, Renewed, Unwanted, Wanted
from trayconnect.sessions.dependencies import Alerts, Clock
from trayconnect.sessions.events import (
    ConfigChanged,
    Connect,
    DisconnectRequested,
    NetworkChanged,
    Restart,
    RetryDue,
)
from trayconnect.sessions.machine import Now
from trayconnect.sessions.managed import Input, Managed, Outbox
from trayconnect.sessions.snapshot import Cause, Snapshot
from trayconnect.sessions.state import Session, State
from trayconnect.sessions.worker import Dependencies

logger = logging.getLogger(__name__)

_DISCONNECT = Input(DisconnectRequested(), Unwanted())


@dataclass(frozen=True, slots=True)
class _ToSession:
    name: str
    input: Input


@dataclass(frozen=True, slots=True)
class _ToAll:
    input: Input


@dataclass(frozen=True, slots=True)
class _Posted:
    """What a service of that session found."""

    managed: Managed
    job: Callable[[], None]


@dataclass(frozen=True, slots=True)
class _NewConfig:
    config: Config


@dataclass(frozen=True, slots=True)
class _Mark:
    """Set once all mail before it was read, and its outcome published."""

    passed: threading.Event


@dataclass(frozen=True, slots=True)
class _Leave:
    pass


_Mail = _ToSession | _ToAll | _Posted | _NewConfig | _Mark | _Leave


class Manager:
    """Runs the sessions of a configuration.

    Every method may be called from any thread and returns at once, but for `settle`, `wait_until`
    and `close`. `on_change` is called on the manager's thread, after anything changed, with all
    snapshots in the file's order.
    """

    def __init__(
        self,
        peers: Dependencies,
        clock: Clock,
        alerts: Alerts,
        *,
        on_change: Callable[[tuple[Snapshot, ...]], None] = lambda _: None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._peers = peers
        self._clock = clock
        self._on_change = on_change
        self._chance = chance
        self._mail: queue.SimpleQueue[_Mail] = queue.SimpleQueue()
        self._timers: list[tuple[float, int, str, RetryDue]] = []
        self._serial = itertools.count()
        self._managed: dict[str, Managed] = {}
        self._alerts = alerts
        self._changed = threading.Condition()
        self._snapshots: tuple[Snapshot, ...] = ()
        self._leaving = False
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="tc-manager", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self, timeout: float = 15.0) -> bool:
        """Stop every session and end; false if something did not end within `timeout` seconds."""
        self._mail.put(_Leave())
        self._thread.join(timeout)
        if not self._thread.is_alive():
            return True
        for one in self.snapshots():
            if one.state is not State.OFF:
                logger.error("%s did not end within %g s", one.name, timeout)
        return False

    # --- orders ---

    def apply(self, config: Config) -> None:
        """Go on with these servers; what did not change keeps its tunnel."""
        self._mail.put(_NewConfig(config))

    def connect(self, name: str, *, show: bool = False) -> None:
        """`show`: and open its page, even where `open_browser` is off."""
        self.order(name, Wanted(show), connects=True)

    def disconnect(self, name: str) -> None:
        self._mail.put(_ToSession(name, _DISCONNECT))

    def reconnect(self, name: str) -> None:
        """A new tunnel in the place of the present one; no page opens for it."""
        self._mail.put(_ToSession(name, Input(Restart(), Renewed(by_user=True))))

    def order(self, name: str, order: Order, *, connects: bool = False) -> None:
        """Have its services do something; `connects`: which needs a link."""
        event = Connect() if connects else None
        self._mail.put(_ToSession(name, Input(event, order, Cause.ORDER)))

    def look(self, name: str) -> None:
        """Look again at what answers behind the tunnel."""
        self._mail.put(_ToSession(name, Input(order=LookAgain())))

    def connect_all(self) -> None:
        self._mail.put(_ToAll(Input(Connect(), Wanted(), Cause.ORDER)))

    def disconnect_all(self) -> None:
        self._mail.put(_ToAll(_DISCONNECT))

    def woke(self) -> None:
        self._mail.put(_ToAll(Input(NetworkChanged(), LookAgain(), Cause.WOKE)))

    def network_changed(self) -> None:
        self._mail.put(_ToAll(Input(NetworkChanged(), LookAgain())))

    # --- knowledge ---

    def snapshots(self) -> tuple[Snapshot, ...]:
        """All sessions as they are now."""
        with self._changed:
            return self._snapshots

    def snapshot(self, name: str) -> Snapshot | None:
        """The session of that name, or None."""
        return _by_name(self.snapshots()).get(name)

    def tunnel(self, name: str) -> Link | None:
        """The live tunnel of that name, for commands; None where there is none."""
        managed = self._managed.get(name)
        worker = managed.worker if managed else None
        return worker.tunnel if worker else None

    def settle(self, timeout: float) -> bool:
        """Block until the snapshots show what came at once of all orders so far; false after
        `timeout` seconds, or once `close` has ended it."""
        mark = _Mark(threading.Event())
        self._mail.put(mark)
        return not self._ended and mark.passed.wait(timeout) and not self._ended

    def wait_until(self, done: Callable[[Mapping[str, Snapshot]], bool], timeout: float) -> bool:
        """Block until `done` says so of the snapshots by name; false after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: done(_by_name(self._snapshots)), timeout)

    def recheck(self) -> None:
        """Wake those who wait in `wait_until`, so that they look at what else they wait for."""
        with self._changed:
            self._changed.notify_all()

    # --- on the manager's thread ---

    def _run(self) -> None:
        while not (self._leaving and self._all_off()):
            try:
                mail = self._mail.get(timeout=self._until_next_timer())
            except queue.Empty:
                mail = None
            try:
                self._fire_timers()
                if mail is not None:
                    self._read(mail)
                self._publish()
                self._alerts.deliver(self._clock.monotonic())
            except Exception:
                logger.exception("the manager met something nobody foresaw")
        self._ended = True
        while not self._mail.empty():  # let go of those who wait in `settle`
            mail = self._mail.get()
            if isinstance(mail, _Mark):
                mail.passed.set()

    def _read(self, mail: _Mail) -> None:
        match mail:
            case _ToSession(name, given):
                self._feed(name, given)
            case _ToAll(given):
                for name in self._managed:
                    self._feed(name, given)
            case _Posted(managed, job):
                self._taking_in(managed, Cause.OTHER, job)
            case _NewConfig(config):
                if not self._leaving:
                    self._apply(config)
            case _Mark(passed):
                for managed in self._managed.values():
                    managed.refresh()  # heartbeats send no mail
                self._publish()
                passed.set()
            case _Leave():
                self._leaving = True
                for name in self._managed:
                    self._feed(name, _DISCONNECT)
        self._forget_removed()

    def _all_off(self) -> bool:
        return all(m.session.state is State.OFF for m in self._managed.values())

    def _apply(self, config: Config) -> None:
        kept: dict[str, Managed] = {}
        for server in config.servers:
            managed = self._managed.pop(server.name, None)
            if managed is None:
                session = Session(server, since=self._clock.time())
                managed = Managed(session, self._peers, self._outbox)
            managed.removed = False
            kept[server.name] = managed
        gone, self._managed = self._managed, kept
        for name, managed in gone.items():
            managed.removed = True
            kept[name] = managed
            self._feed(name, _DISCONNECT)
        for server in config.servers:
            managed = kept[server.name]
            if (managed.session.successor or managed.session.server) != server:
                self._feed(server.name, Input(ConfigChanged(server)))

    def _outbox(self, managed: Managed) -> Outbox:
        name = managed.session.server.name

        def later(seconds: float, event: RetryDue) -> None:
            due = self._clock.monotonic() + seconds
            heapq.heappush(self._timers, (due, next(self._serial), name, event))

        return Outbox(
            report=lambda report: self._mail.put(_ToSession(name, Input(report))),
            do=lambda job: self._mail.put(_Posted(managed, job)),
            later=later,
        )

    def _feed(self, name: str, given: Input) -> None:
        managed = self._managed.get(name)
        if managed is None:
            logger.debug("no server %s for %s", name, given)
            return
        if given.connects and (self._leaving or managed.removed):
            return
        self._taking_in(
            managed,
            given.cause,
            lambda: managed.take(given, Now(self._clock.time(), self._chance())),
        )

    def _taking_in(self, managed: Managed, cause: Cause, job: Callable[[], None]) -> None:
        """Do what changes a session; then freeze once what it has become, and tell of it."""
        before = managed.snapshot
        job()
        managed.refresh()
        _log(before, managed.snapshot)
        self._alerts.follow(before, managed.snapshot, cause, self._clock.monotonic())

    def _forget_removed(self) -> None:
        gone = {
            name
            for name, managed in self._managed.items()
            if managed.removed and managed.session.state is State.OFF
        }
        if not gone:
            return
        self._managed = {n: managed for n, managed in self._managed.items() if n not in gone}
        # A later entry of that name counts its attempts from the start again.
        self._timers = [timer for timer in self._timers if timer[2] not in gone]
        heapq.heapify(self._timers)
        for name in gone:
            self._alerts.forget(name)

    def _until_next_timer(self) -> float | None:
        dues = [due for due, *_ in self._timers[:1]]
        alert = self._alerts.due()
        if alert is not None:
            dues.append(alert)
        return max(0.0, min(dues) - self._clock.monotonic()) if dues else None

    def _fire_timers(self) -> None:
        while self._timers and self._timers[0][0] <= self._clock.monotonic():
            _, _, name, event = heapq.heappop(self._timers)
            self._feed(name, Input(event))

    def _publish(self) -> None:
        now = tuple(managed.snapshot for managed in self._managed.values())
        with self._changed:
            if now == self._snapshots:
                return
            self._snapshots = now
            self._changed.notify_all()
        self._on_change(now)


def _log(before: Snapshot, after: Snapshot) -> None:
    """Tell the log, which is all there is to look at without an icon, what came of an event."""
    if after.state is not before.state:
        logger.info("%s: %s -> %s", after.name, before.state.value, after.state.value)
    if after.problem is not None and after.problem != before.problem:
        logger.warning("%s: %s", after.name, after.problem.logged)
    if after.page is not None and before.page is None:
        logger.info("%s: %s answers", after.name, after.page.url)


def _by_name(snapshots: tuple[Snapshot, ...]) -> dict[str, Snapshot]:
    return {snapshot.name: snapshot for snapshot in snapshots}
