"""What sessions need from the other folders, as protocols."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from trayconnect.config.forward_model import Forward
from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.endpoints import Endpoint
from trayconnect.core.errors import Problem
from trayconnect.core.link import Carrier, Incoming, Link, Own
from trayconnect.core.page import Browser
from trayconnect.core.questions import Ask, ProgressDisplay, Prompter
from trayconnect.services.protocol import MakeServices
from trayconnect.sessions.snapshot import Cause, Snapshot
from trayconnect.ssh.resolved_config import ResolvedConfig


class Connector(Protocol):
    """Opens links."""

    def resolve(self, server: Server, cancel: CancelToken) -> ResolvedConfig | None:
        """Read the user's SSH configuration for one attempt; None if the link does not need it.
        Blocks for a bounded time. Raises `ProblemError`, and `Cancelled`."""
        ...

    def connect(
        self,
        server: Server,
        *,
        ask: Ask,
        cancel: CancelToken,
        on_lost: Callable[[Problem], None],
        config: ResolvedConfig | None = None,
        display: ProgressDisplay = ProgressDisplay(),  # noqa: B008 - it has no state
    ) -> Link:
        """Connect and log in; every wait is bounded. `config`: see `resolve`; None: read it now.

        `on_lost` is called at most once, from any thread, when the returned link is lost; not
        after its `close`. Raises `ProblemError`, and `Cancelled` after `cancel.set()`."""
        ...

    def forget(self, server: Server) -> None:
        """Drop what is kept in memory to log in to that server without the user."""
        ...


class Forwarding(Protocol):
    """The local listeners of one session, across all its links, and the connections of its
    forwards."""

    @property
    def unbound_forwards(self) -> tuple[tuple[str, Problem], ...]:
        """Which of the optional forwards could not be bound, by their names, and why."""
        ...

    def set_target(self, target: Own | Problem) -> None:
        """Set where Jupyter listens, as seen from the server, or why connections to its local port
        are refused. They are held until the first call over each link, unless the entry names
        Jupyter's port; a later call changes it."""
        ...

    def attach(self, carrier: Carrier) -> None:
        """Serve connections through this link from now on, the held ones first."""
        ...

    def take(self, incoming: Incoming, target: Endpoint) -> None:
        """Carry a connection of a remote forward to `target`, as seen from here; returns at once.
        Refuses it if no link is attached, or there are too many connections."""
        ...

    def detach(self) -> None:
        """The link has ended, or is about to be closed, which ends its connections: hold new ones
        for a while."""
        ...

    def close(self) -> None:
        """Unbind, end the connections that no link carries, and join the threads, in bounded time.
        Never raises."""
        ...


class Listen(Protocol):
    """Binds all local ports and sockets of a server, and of the optional forwards `also` as many as
    it can.

    Calls `on_refused`, from any thread, when a connection did not reach the forward's target.
    Raises `ProblemError`; then nothing is bound."""

    def __call__(
        self,
        server: Server,
        *,
        also: Sequence[Forward] = (),
        on_refused: Callable[[Problem], None] | None = None,
    ) -> Forwarding: ...


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What each session works with."""

    connector: Callable[[Server], Connector]
    listen: Listen
    prompter: Prompter
    browser: Browser
    services: MakeServices


class Clock(Protocol):
    """The module `time`, or a clock of a test."""

    def time(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float: ...


class Alerts(Protocol):
    """Notifies the user of what happens to sessions. Times are of the monotonic clock. One thread
    at a time."""

    def follow(self, before: Snapshot, after: Snapshot, cause: Cause, now: float) -> None:
        """A session changed, or got an order."""
        ...

    def forget(self, name: str) -> None:
        """The session of that name is gone."""
        ...

    def due(self) -> float | None:
        """When to call `deliver` next; None: no alert is pending."""
        ...

    def deliver(self, now: float) -> None:
        """Show and withdraw the notices that are due."""
        ...
