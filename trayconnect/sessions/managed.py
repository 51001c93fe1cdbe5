"""A session, the worker that carries out its effects, and the services behind its link."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from trayconnect.config.model import Server
from trayconnect.core.errors import unforeseen
from trayconnect.services.protocol import Order, Renewed, Service, Unwanted, Wanted
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
    Connect,
    ConnectFailed,
    Event,
    Lost,
    Report,
    Restart,
    RetryDue,
)
from trayconnect.sessions.machine import IllegalEvent, Now, step
from trayconnect.sessions.snapshot import Cause, snapshot
from trayconnect.sessions.state import Session, State
from trayconnect.sessions.worker import Dependencies, Worker

logger = logging.getLogger(__name__)

JOIN_LIMIT = 5.0
"""Seconds to wait for a worker's thread that has reported its end."""


@dataclass(frozen=True, slots=True)
class Input:
    """What a session, its services, or both are given."""

    event: Event | None = None
    order: Order | None = None
    cause: Cause = Cause.OTHER

    @property
    def connects(self) -> bool:
        return isinstance(self.event, Connect | Restart)


@dataclass(frozen=True, slots=True)
class Outbox:
    """What a managed session has done on the manager's thread. Each from any thread, but for
    `later`."""

    report: Callable[[Report], None]
    do: Callable[[Callable[[], None]], None]
    later: Callable[[float, RetryDue], None]
    """In so many seconds."""


class Managed:
    """On the manager's thread, but for `refused`."""

    def __init__(
        self, session: Session, peers: Dependencies, outbox: Callable[[Managed], Outbox]
    ) -> None:
        self.session = session
        self.removed = False
        """Whether the file has no such entry any more."""
        self._peers = peers
        self._outbox = outbox(self)
        self._worker: Worker | None = None
        self._services = self._make_services()
        self.snapshot = snapshot(session)
        self.refresh()

    @property
    def name(self) -> str:
        return self.session.server.name

    @property
    def worker(self) -> Worker | None:
        return self._worker

    def refresh(self) -> None:
        """Freeze anew what is known of it."""
        self.snapshot = snapshot(
            self.session,
            self._worker.latency if self._worker else None,
            [service.status() for service in self._services],
        )

    def refused(self) -> None:
        """A connection could not be carried through. From any thread."""
        for service in self._services:
            service.refused()

    def take(self, given: Input, now: Now) -> None:
        """Step the session, and pass on what concerns the services."""
        before, event, order = self.session, given.event, given.order
        effects: tuple[Effect, ...] = ()
        if event is not None:
            try:
                self.session, effects = step(before, event, now)
            except IllegalEvent:
                logger.exception("%s: ignored", before.server.name)
                return
        after = self.session
        if before.state is State.CLOSING and after.state is not State.CLOSING:
            self._retire()
        if before.state is State.UP and after.state is not State.UP:
            for service in self._services:
                service.link_down()
        if order is None and after.state is State.CLOSING and before.state is not State.CLOSING:
            # By a change of the file, or by an answer that was declined.
            order = Renewed(by_user=False) if after.restart else Unwanted()
        if order is not None:
            for service in self._services:
                service.handle(order)
        if after.server is not before.server:
            self._update(before.server)
        for effect in effects:
            self._carry_out(effect)
        if before.state is not State.UP and after.state is State.UP:
            self._link_up()

    def _update(self, before: Server) -> None:
        """The session goes on with another entry."""
        server = self.session.server
        if server.is_direct == before.is_direct:
            for service in self._services:
                service.update(server)
            return
        pending = any(service.status().browser_pending for service in self._services)
        self._end()
        self._services = self._make_services()
        if pending:
            for service in self._services:
                service.handle(Wanted())

    def _link_up(self) -> None:
        worker = self._worker
        link = worker.tunnel if worker else None
        if worker is None or link is None:
            return
        try:
            for service in self._services:
                service.link_up(link, worker.set_target)
        except RuntimeError as error:  # no more threads: the link is given up, and tried again
            attempt = self.session.attempt
            self._outbox.report(Lost(attempt, unforeseen(error)))

    def _carry_out(self, effect: Effect) -> None:
        if isinstance(effect, Forget):  # its worker has ended
            self._peers.connector(effect.server).forget(effect.server)
            return
        if self._worker is None:
            self._worker = Worker(self.name, self._peers, self._outbox.report, self.refused)
        match effect:
            case Open(attempt, server):
                try:
                    self._worker.open(attempt, server)
                except RuntimeError as error:  # no more threads
                    self._outbox.report(ConnectFailed(attempt, unforeseen(error)))
            case Disconnect():
                self._worker.drop()
            case Close(attempt):
                self._worker.close(attempt)
            case Update(server):
                self._worker.update(server)
            case Ping():
                self._worker.check()
            case RetryAfter(attempt, seconds):
                self._outbox.later(seconds, RetryDue(attempt))

    def _make_services(self) -> tuple[Service, ...]:
        return self._peers.services(self.session.server, self._outbox.do)

    def _retire(self) -> None:
        """Join what has ended."""
        worker, self._worker = self._worker, None
        if worker is not None and not worker.join(JOIN_LIMIT):
            logger.error("%s: its thread did not end", self.name)
        self._end()

    def _end(self) -> None:
        for service in self._services:
            if not service.close():
                logger.error("%s: a thread of its service did not end", self.name)
