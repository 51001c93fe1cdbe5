"""What the machine asks to be done. An effect is an order, given once; its outcome is an event."""

from __future__ import annotations

from dataclasses import dataclass

from trayconnect.config.model import Server


@dataclass(frozen=True, slots=True)
class Open:
    """Bind the listeners if they are not, and connect."""

    attempt: int
    server: Server


@dataclass(frozen=True, slots=True)
class Disconnect:
    """End the tunnel; the listeners stay bound, and hold new connections for a while."""


@dataclass(frozen=True, slots=True)
class Close:
    """End everything, then report `Closed(attempt)`."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Forget:
    """The user is done with it: drop what was kept to log in again by itself."""

    server: Server


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Report `RetryDue(attempt)` in so many seconds."""

    attempt: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Update:
    """The entry changed in what does not touch the tunnel."""

    server: Server


@dataclass(frozen=True, slots=True)
class Ping:
    """Ask the server now for a sign of life."""


Effect = Open | Disconnect | Close | Forget | RetryAfter | Update | Ping
