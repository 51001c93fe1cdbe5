"""What a session needs from the outside, as protocols."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from trayconnect.config.model import Forward, Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.endpoints import Endpoint
from trayconnect.core.errors import Problem
from trayconnect.core.link import Incoming, Link, OpenChannel, OpenOwnChannel, Own
from trayconnect.core.questions import Ask, ProgressDisplay
from trayconnect.sessions.snapshot import Cause, Snapshot
from trayconnect.ssh.resolved_config import ResolvedConfig


class Connector(Protocol):
    """Opens links."""

    def resolve(self, server: Server, cancel: CancelToken) -> ResolvedConfig | None:
        """The user's SSH configuration for one attempt; None where it is not asked. May take its
        time; raises `ProblemError`, and `Cancelled`."""
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
        """Connect and log in, every wait bounded. `config`: see `resolve`; None: read it now.

        `on_lost` is called at most once, from any thread, when the tunnel that was returned
        dies by itself; not after `close`. Raises `ProblemError`, and `Cancelled` after
        `cancel.set()`."""
        ...

    def forget(self, server: Server) -> None:
        """The user disconnected: drop what was kept in memory to log in again by itself."""
        ...


class Forwarding(Protocol):
    """What one session listens on here, whatever becomes of its tunnels, and the connections of
    its forwards."""

    @property
    def unbound_forwards(self) -> tuple[tuple[str, Problem], ...]:
        """Which of the forwards that need not be had could not be, by their names, and why."""
        ...

    def set_target(self, target: Own | Problem) -> None:
        """Where Jupyter listens, as seen from the server, or why connections to its local port
        lead nowhere. Until it is first said, they are held; may be said again."""
        ...

    def attach(
        self, open_channel: OpenChannel, open_own_channel: OpenOwnChannel | None = None
    ) -> None:
        """From now on, serve connections, the held ones first. Without `open_own_channel`, no
        owner can be known."""
        ...

    def take(self, incoming: Incoming, target: Endpoint) -> None:
        """Carry a connection of a remote forward to `target`, as seen from here; returns at once.
        Refused when there is no tunnel attached, or too many are carried already."""
        ...

    def detach(self) -> None:
        """The tunnel is gone: end its connections, and hold new ones for a while."""
        ...

    def close(self) -> None:
        """Unbind, end every connection, join the threads; bounded. Never raises."""
        ...


class Listen(Protocol):
    """Binds all of a server's local ports and sockets, and of `also`, forwards that need not be
    had, as many as it can.

    Calls `on_refused`, from any thread, when a connection could not be carried through to what
    it is meant for. Raises `ProblemError`; then nothing is bound."""

    def __call__(
        self,
        server: Server,
        *,
        also: Sequence[Forward] = (),
        on_refused: Callable[[Problem], None] | None = None,
    ) -> Forwarding: ...


class Clock(Protocol):
    def time(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float: ...


class Alerts(Protocol):
    """Tells the user what happens to sessions. Times are of the monotonic clock; one thread at a
    time."""

    def follow(self, before: Snapshot, after: Snapshot, cause: Cause, now: float) -> None:
        """A session changed, or the user ordered something of it."""
        ...

    def forget(self, name: str) -> None:
        """The session of that name is gone."""
        ...

    def due(self) -> float | None:
        """When to call `deliver` next; None: nothing is pending."""
        ...

    def deliver(self, now: float) -> None:
        """Show and withdraw notices that are due."""
        ...
