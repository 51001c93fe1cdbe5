"""All sessions: one queue, and one thread that steps the machines and carries out their effects."""

from __future__ import annotations

import heapq
import itertools
import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

from trayconnect.config.model import Config
from trayconnect.core.command import Command
from trayconnect.services.protocol import Service
from trayconnect.sessions.dependencies import Alerts, Clock, Dependencies
from trayconnect.sessions.machine import Now
from trayconnect.sessions.managed import Input, Managed, Outbox
from trayconnect.sessions.snapshot import Cause, Snapshot
from trayconnect.sessions.state import (
    ConfigChanged,
    Connect,
    Disconnect,
    Event,
    NetworkChanged,
    Restart,
    RetryDue,
    Session,
    State,
)

logger = logging.getLogger(__name__)

_EVENTS: Mapping[str, Event] = {
    "connect": Connect(),
    "open": Connect(),
    "disconnect": Disconnect(),
    "reconnect": Restart(),
}
"""What the user's commands mean to the link."""


class Manager:
    """Runs the sessions of a configuration.

    Every method may be called from any thread. All return at once, but for `settle`, `wait_until`
    and `close`. `on_change` is called on the manager's thread, after every change, with all
    snapshots in the file's order.
    """

    def __init__(
        self,
        dependencies: Dependencies,
        alerts: Alerts,
        *,
        clock: Clock = time,
        on_change: Callable[[tuple[Snapshot, ...]], None] = lambda _: None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._dependencies = dependencies
        self._clock = clock
        self._on_change = on_change
        self._chance = chance
        self._mail: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
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
        """Close every session and end; false if one did not end within `timeout` seconds. A `start`
        that comes later ends at once."""
        self._mail.put(self._leave)
        if self._thread.ident is None:  # Windows ends the user's session during our start
            return True
        self._thread.join(timeout)
        if not self._thread.is_alive():
            return True
        for one in self.snapshots():
            if one.state is not State.OFF:
                logger.error("%s did not end within %g s", one.name, timeout)
        return False

    # --- commands ---

    def apply(self, config: Config) -> None:
        """Go on with these servers. A server that did not change keeps its link."""
        self._mail.put(lambda: self._apply(config))

    def do(self, command: Command) -> None:
        """Connect, open, disconnect or reconnect a server. `open` connects it too, and opens its
        page even where `open_browser` is off; after `reconnect`, no page opens."""
        event = _EVENTS[command.name]
        cause = Cause.ORDER if isinstance(event, Connect) else Cause.OTHER
        self._give(command.server, Input(event, command, cause))

    def check(self, name: str) -> None:
        """Look again at what answers behind the link."""
        managed = self._managed.get(name)
        if managed is not None:
            self._mail.put(lambda: self._change(managed, Cause.OTHER, managed.check))

    def woke(self) -> None:
        """The machine is awake again after sleep."""
        self._give_all(Input(NetworkChanged(), cause=Cause.WOKE))

    def network_changed(self) -> None:
        self._give_all(Input(NetworkChanged()))

    def _give(self, name: str, given: Input) -> None:
        self._mail.put(lambda: self._feed(name, given))

    def _give_all(self, given: Input) -> None:
        self._mail.put(lambda: self._feed_all(given))

    # --- knowledge ---

    def snapshots(self) -> tuple[Snapshot, ...]:
        """All sessions as they are now."""
        with self._changed:
            return self._snapshots

    def snapshot(self, name: str) -> Snapshot | None:
        """The session of that name, or None."""
        return _by_name(self.snapshots()).get(name)

    def service(self, name: str) -> Service | None:
        """The first service of that entry; None if there is no such entry."""
        managed = self._managed.get(name)
        return managed.services[0] if managed else None

    def settle(self, timeout: float) -> bool:
        """Block until the snapshots show the immediate result of all commands so far; false after
        `timeout` seconds, or if `close` ended the sessions."""
        settled = False

        def publish() -> None:
            nonlocal settled
            for managed in self._managed.values():
                managed.refresh()  # heartbeats send no mail
            self._publish()
            with self._changed:
                settled = True
                self._changed.notify_all()

        self._mail.put(publish)
        with self._changed:
            self._changed.wait_for(lambda: settled or self._ended, timeout)
            return settled

    def wait_until(self, done: Callable[[Mapping[str, Snapshot]], bool], timeout: float) -> bool:
        """Block until `done` is true of the snapshots by name; false after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: done(_by_name(self._snapshots)), timeout)

    def recheck(self) -> None:
        """Evaluate the conditions of `wait_until` again: they may depend on more than snapshots."""
        with self._changed:
            self._changed.notify_all()

    # --- on the manager's thread ---

    def _run(self) -> None:
        while not (self._leaving and self._all_off()):
            try:
                job = self._mail.get(timeout=self._until_next_timer())
            except queue.Empty:
                job = _nothing
            _try(self._fire_timers)  # a bug there must not lose the job
            _try(job)
            _try(self._settle_change)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _settle_change(self) -> None:
        self._forget_removed()
        self._publish()
        self._alerts.deliver(self._clock.monotonic())

    def _leave(self) -> None:
        self._leaving = True
        for name in self._managed:
            _try(partial(self._feed, name, _disconnect(name)))

    def _all_off(self) -> bool:
        return all(m.session.state is State.OFF for m in self._managed.values())

    def _apply(self, config: Config) -> None:
        if self._leaving:
            return
        kept: dict[str, Managed] = {}
        for server in config.servers:
            managed = self._managed.get(server.name)
            if managed is None:
                session = Session(server, since=self._clock.time())
                managed = Managed(session, self._dependencies, self._outbox)
            managed.removed = False
            kept[server.name] = managed
        gone = {name: managed for name, managed in self._managed.items() if name not in kept}
        self._managed = {**kept, **gone}
        for name, managed in gone.items():
            if not managed.removed:
                managed.drop()
            managed.removed = True
            _try(partial(self._feed, name, _disconnect(name)))
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
            report=lambda report: self._give(name, Input(report)),
            do=lambda job: self._mail.put(lambda: self._change(managed, Cause.OTHER, job)),
            later=later,
        )

    def _feed_all(self, given: Input) -> None:
        for name in self._managed:
            self._feed(name, given)

    def _feed(self, name: str, given: Input) -> None:
        managed = self._managed.get(name)
        if managed is None:
            logger.debug("no server %s for %s", name, given)
            return
        if given.connects and (self._leaving or managed.removed):
            return
        now = Now(self._clock.time(), self._chance())
        self._change(managed, given.cause, lambda: managed.take(given, now))

    def _change(self, managed: Managed, cause: Cause, change: Callable[[], None]) -> None:
        """Change a session, freeze it once, and let the alerts follow."""
        before = managed.snapshot
        change()
        managed.refresh()
        if managed is not self._managed.get(managed.name):
            return  # its entry is gone, and perhaps there is another one of that name
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
        # A later entry of that name numbers its attempts from 1 again.
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
    """Log what changed."""
    if after.state is not before.state:
        logger.info("%s: %s -> %s", after.name, before.state.value, after.state.value)
    if after.problem is not None and after.problem != before.problem:
        logger.warning("%s: %s", after.name, after.problem.logged)
    if after.page is not None and before.page is None:
        logger.info("%s: %s answers", after.name, after.page.url)


def _disconnect(name: str) -> Input:
    return Input(Disconnect(), Command("disconnect", name))


def _nothing() -> None:
    pass


def _try(job: Callable[[], None]) -> None:
    """A bug in one session must not keep the others from their turn, or from their end."""
    try:
        job()
    except Exception:
        logger.exception("a bug in the manager")


def _by_name(snapshots: tuple[Snapshot, ...]) -> dict[str, Snapshot]:
    return {snapshot.name: snapshot for snapshot in snapshots}
