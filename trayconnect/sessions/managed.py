"""A session with the worker that carries out its effects, and the services behind its link."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from trayconnect.config.model import Server
from trayconnect.core.command import Command
from trayconnect.core.errors import unforeseen
from trayconnect.services.protocol import Service
from trayconnect.sessions.dependencies import Dependencies
from trayconnect.sessions.forwards import NO_LINK
from trayconnect.sessions.machine import IllegalEvent, Now, step
from trayconnect.sessions.snapshot import Cause, snapshot
from trayconnect.sessions.state import (
    Check,
    Close,
    Connect,
    Drop,
    Effect,
    Event,
    Failed,
    Forget,
    NetworkChanged,
    Open,
    Report,
    Restart,
    RetryAfter,
    RetryDue,
    Session,
    State,
)
from trayconnect.sessions.worker import Worker

logger = logging.getLogger(__name__)

JOIN_LIMIT = 5.0
"""Seconds to wait for the thread of a worker that has reported `Closed`."""


@dataclass(frozen=True, slots=True)
class Input:
    """An event for the session, and the user's command behind it, for its services."""

    event: Event
    command: Command | None = None
    cause: Cause = Cause.OTHER

    @property
    def connects(self) -> bool:
        return isinstance(self.event, Connect | Restart)


@dataclass(frozen=True, slots=True)
class Outbox:
    """What a managed session asks of its manager. From any thread, but for `later`."""

    report: Callable[[Report], None]
    do: Callable[[Callable[[], None]], None]
    """Call it on the manager's thread, then freeze the session."""
    later: Callable[[float, RetryDue], None]
    """In so many seconds."""


class Managed:
    """On the manager's thread, but for `refused`."""

    def __init__(
        self, session: Session, dependencies: Dependencies, outbox: Callable[[Managed], Outbox]
    ) -> None:
        self.session = session
        self.removed = False
        """Whether the entry is gone from the file."""
        self._dependencies = dependencies
        self._outbox = outbox(self)
        self._worker: Worker | None = None
        self.services = self._make_services()
        self.refresh()

    @property
    def name(self) -> str:
        return self.session.server.name

    def refresh(self) -> None:
        """Freeze the session again."""
        info = self._worker.info if self._worker else NO_LINK
        statuses = [service.status() for service in self.services]
        self.snapshot = snapshot(self.session, info, statuses)

    def check(self) -> None:
        """Something that health checks depend on may have changed."""
        self._each(lambda service: service.check())

    def refused(self) -> None:
        """A connection did not reach its target."""
        self._each(lambda service: service.refused())

    def drop(self) -> None:
        """The services are not to go on."""
        self._each(lambda service: service.dropped())

    def take(self, given: Input, now: Now) -> None:
        """Step the session, inform its services, and carry out the effects."""
        before, command = self.session, given.command
        try:
            self.session, effects = step(before, given.event, now)
        except IllegalEvent:
            logger.exception("%s: ignored", before.server.name)
            return
        after = self.session
        if before.state is State.CLOSING and after.state is not State.CLOSING:
            self._retire()
        if before.state is State.UP and after.state is not State.UP:
            self._each(lambda service: service.link_down())
        ends = after.state is State.CLOSING and before.state is not State.CLOSING
        if command is None and ends and not after.restart:  # a question was declined
            command = Command("disconnect", self.name)
        if command is not None:
            self._handle(command)
        if isinstance(given.event, NetworkChanged):
            self.check()
        if after.server is not before.server:
            self._update(before.server)
        for effect in effects:
            self._carry_out(effect)
        if before.state is not State.UP and after.state is State.UP:
            self._link_up()

    def _update(self, before: Server) -> None:
        """The session goes on with another entry."""
        server = self.session.server
        if self._worker is not None:
            self._worker.update(server)
        if server.kind == before.kind:
            self._each(lambda service: service.update(server))
            return
        pending = any(service.status().browser_pending for service in self.services)
        is_up = self.session.state is State.UP
        self.drop()
        if is_up:
            self._each(lambda service: service.link_down())
        self._end()
        self.services = self._make_services()
        if pending:
            self._handle(Command("connect", self.name))
        if is_up:
            self._link_up()

    def _link_up(self) -> None:
        worker = self._worker
        link = worker.link if worker else None
        if worker is None or link is None:
            return
        try:
            for service in self.services:
                service.link_up(link, worker.set_target)
        except RuntimeError as error:  # no more threads: drop the link, and retry
            self._outbox.report(Failed(self.session.attempt, unforeseen(error)))

    def _carry_out(self, effect: Effect) -> None:
        outbox = self._outbox
        if isinstance(effect, Forget):  # its worker has ended
            self._dependencies.connector(effect.server).forget(effect.server)
            return
        if self._worker is None:
            self._worker = Worker(
                self.name,
                self._dependencies,
                outbox.report,
                on_change=lambda: outbox.do(lambda: None),
                on_refused=self.refused,
            )
        match effect:
            case Open(attempt, server):
                try:
                    self._worker.open(attempt, server)
                except RuntimeError as error:  # no more threads
                    outbox.report(Failed(attempt, unforeseen(error)))
            case Drop():
                self._worker.drop()
            case Close(attempt):
                self._worker.close(attempt)
            case Check():
                self._worker.check()
            case RetryAfter(attempt, seconds):
                outbox.later(seconds, RetryDue(attempt))

    def _make_services(self) -> tuple[Service, ...]:
        return self._dependencies.services(self.session.server, self._outbox.do)

    def _retire(self) -> None:
        """Join the threads of the link that was closed."""
        worker, self._worker = self._worker, None
        if worker is not None and not worker.join(JOIN_LIMIT):
            logger.error("%s: the thread of its session did not end", self.name)
        self._end()

    def _end(self) -> None:
        self._each(self._close)

    def _close(self, service: Service) -> None:
        if not service.close():
            logger.error("%s: a thread of its service did not end", self.name)

    def _handle(self, command: Command) -> None:
        self._each(lambda service: service.handle(command))

    def _each(self, tell: Callable[[Service], object]) -> None:
        """A bug in one service must not keep the others, and the link, from their end."""
        for service in self.services:
            try:
                tell(service)
            except Exception:
                logger.exception("%s: a bug in a service", self.name)
