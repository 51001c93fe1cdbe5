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

from trayconnect.config.model import Config, Server
from trayconnect.core.errors import unforeseen
from trayconnect.core.link import Link
from trayconnect.services.protocol import (
    LookAgain,
    Order,
    Renewed,
    Service,
    Unwanted,
    Wanted,
)
from trayconnect.sessions.dependencies import Alerts, Clock
from trayconnect.sessions.effects import (
    Close,
    Disconnect,
    Effect,
    Forget,
    Open,
    Ping,
    RetryAfter,
    Update,
)
from trayconnect.sessions.events import (
    Closed,
    ConfigChanged,
    Connect,
    ConnectFailed,
    DisconnectRequested,
    Event,
    Lost,
    NetworkChanged,
    Report,
    Restart,
    RetryDue,
)
from trayconnect.sessions.machine import IllegalEvent, Now, step
from trayconnect.sessions.snapshot import Cause, Snapshot, snapshot
from trayconnect.sessions.state import Session, State
from trayconnect.sessions.worker import Dependencies, Worker

logger = logging.getLogger(__name__)

JOIN_LIMIT = 5.0
"""Seconds to wait for a runner's thread that has reported its end."""


@dataclass(frozen=True, slots=True)
class _Input:
    """What a session, its services, or both are given."""

    event: Event | None = None
    order: Order | None = None
    cause: Cause = Cause.OTHER

    @property
    def connects(self) -> bool:
        return isinstance(self.event, Connect | Restart)


_DISCONNECT = _Input(DisconnectRequested(), Unwanted())


@dataclass(frozen=True, slots=True)
class _ToSession:
    name: str
    input: _Input


@dataclass(frozen=True, slots=True)
class _ToAll:
    input: _Input


class _Managed:
    """A session, who carries out its effects, and the services behind its link."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.worker: Worker | None = None
        self.services: tuple[Service, ...] = ()
        self.removed = False
        self.snapshot = snapshot(session)

    def refresh(self) -> None:
        """Freeze anew what is known of it."""
        self.snapshot = snapshot(
            self.session,
            self.worker.latency if self.worker else None,
            [service.status() for service in self.services],
        )

    def refused(self) -> None:
        """A connection could not be carried through. From any thread."""
        for service in self.services:
            service.refused()


@dataclass(frozen=True, slots=True)
class _Posted:
    """What a service of that session found."""

    managed: _Managed
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
        self._managed: dict[str, _Managed] = {}
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
        self._mail.put(_ToSession(name, _Input(Restart(), Renewed(by_user=True))))

    def order(self, name: str, order: Order, *, connects: bool = False) -> None:
        """Have its services do something; `connects`: which needs a link."""
        event = Connect() if connects else None
        self._mail.put(_ToSession(name, _Input(event, order, Cause.ORDER)))

    def look(self, name: str) -> None:
        """Look again at what answers behind the tunnel."""
        self._mail.put(_ToSession(name, _Input(order=LookAgain())))

    def connect_all(self) -> None:
        self._mail.put(_ToAll(_Input(Connect(), Wanted(), Cause.ORDER)))

    def disconnect_all(self) -> None:
        self._mail.put(_ToAll(_DISCONNECT))

    def woke(self) -> None:
        self._mail.put(_ToAll(_Input(NetworkChanged(), LookAgain(), Cause.WOKE)))

    def network_changed(self) -> None:
        self._mail.put(_ToAll(_Input(NetworkChanged(), LookAgain())))

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
        kept: dict[str, _Managed] = {}
        for server in config.servers:
            managed = self._managed.pop(server.name, None)
            if managed is None:
                managed = self._new(server)
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
                self._feed(server.name, _Input(ConfigChanged(server)))

    def _new(self, server: Server) -> _Managed:
        managed = _Managed(Session(server, since=self._clock.time()))
        managed.services = self._services(managed)
        managed.refresh()
        return managed

    def _services(self, managed: _Managed) -> tuple[Service, ...]:
        return self._peers.services(
            managed.session.server, lambda job: self._mail.put(_Posted(managed, job))
        )

    def _feed(self, name: str, given: _Input) -> None:
        managed = self._managed.get(name)
        if managed is None:
            logger.debug("no server %s for %s", name, given)
            return
        if given.connects and (self._leaving or managed.removed):
            return
        self._taking_in(managed, given.cause, lambda: self._step(managed, given))

    def _taking_in(self, managed: _Managed, cause: Cause, job: Callable[[], None]) -> None:
        """Do what changes a session; then freeze once what it has become, and tell of it."""
        before = managed.snapshot
        job()
        managed.refresh()
        _log(before, managed.snapshot)
        self._alerts.follow(before, managed.snapshot, cause, self._clock.monotonic())

    def _step(self, managed: _Managed, given: _Input) -> None:
        before, event, order = managed.session, given.event, given.order
        effects: tuple[Effect, ...] = ()
        if event is not None:
            try:
                managed.session, effects = step(
                    before, event, Now(self._clock.time(), self._chance())
                )
            except IllegalEvent:
                logger.exception("%s: ignored", before.server.name)
                return
        after = managed.session
        if before.state is State.CLOSING and after.state is not State.CLOSING:
            _retire(managed)
        if before.state is State.UP and after.state is not State.UP:
            for service in managed.services:
                service.link_down()
        if order is None and after.state is State.CLOSING and before.state is not State.CLOSING:
            # By a change of the file, or by an answer that was declined.
            order = Renewed(by_user=False) if after.restart else Unwanted()
        if order is not None:
            for service in managed.services:
                service.handle(order)
        if after.server is not before.server:
            self._update(managed, before.server)
        for effect in effects:
            self._carry_out(managed, effect)
        if before.state is not State.UP and after.state is State.UP:
            self._link_up(managed)

    def _update(self, managed: _Managed, before: Server) -> None:
        """The session goes on with another entry."""
        server = managed.session.server
        if server.is_direct == before.is_direct:
            for service in managed.services:
                service.update(server)
            return
        pending = any(service.status().browser_pending for service in managed.services)
        _end(managed)
        managed.services = self._services(managed)
        if pending:
            for service in managed.services:
                service.handle(Wanted())

    def _link_up(self, managed: _Managed) -> None:
        worker = managed.worker
        link = worker.tunnel if worker else None
        if worker is None or link is None:
            return
        try:
            for service in managed.services:
                service.link_up(link, worker.set_target)
        except RuntimeError as error:  # no more threads: the link is given up, and tried again
            attempt = managed.session.attempt
            self._reporter(managed.session.server.name)(Lost(attempt, unforeseen(error)))

    def _carry_out(self, managed: _Managed, effect: Effect) -> None:
        name = managed.session.server.name
        if isinstance(effect, Forget):  # its worker has ended
            self._peers.connector(effect.server).forget(effect.server)
            return
        report = self._reporter(name)
        try:
            worker = managed.worker or Worker(name, self._peers, report, managed.refused)
        except RuntimeError as error:  # no more threads; only an attempt begins without a worker
            if isinstance(effect, Open):
                report(ConnectFailed(effect.attempt, unforeseen(error)))
            elif isinstance(effect, Close):
                report(Closed(effect.attempt))
            return
        managed.worker = worker
        match effect:
            case Open(attempt, server):
                worker.open(attempt, server)
            case Disconnect():
                worker.drop()
            case Close(attempt):
                worker.close(attempt)
            case Update(server):
                worker.update(server)
            case Ping():
                worker.check()
            case RetryAfter(attempt, seconds):
                due = self._clock.monotonic() + seconds
                heapq.heappush(self._timers, (due, next(self._serial), name, RetryDue(attempt)))

    def _reporter(self, name: str) -> Callable[[Report], None]:
        return lambda report: self._mail.put(_ToSession(name, _Input(report)))

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
            self._feed(name, _Input(event))

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


def _retire(managed: _Managed) -> None:
    """Join what has ended."""
    worker, managed.worker = managed.worker, None
    if worker is not None and not worker.join(JOIN_LIMIT):
        logger.error("%s: its thread did not end", managed.session.server.name)
    _end(managed)


def _end(managed: _Managed) -> None:
    for service in managed.services:
        if not service.close():
            logger.error("%s: a thread of its service did not end", managed.session.server.name)


def _by_name(snapshots: tuple[Snapshot, ...]) -> dict[str, Snapshot]:
    return {snapshot.name: snapshot for snapshot in snapshots}
