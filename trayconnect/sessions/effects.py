"""What the machine asks to be done. An effect is an order, given once; its outcome is an event."""

from __future__ import annotations

from dataclasses import dataclass

from trayconnect.config.model import Server
from trayconnect.core.page import Page
from trayconnect.sessions.kernel_activity import Run


@dataclass(frozen=True, slots=True)
class Open:
    """Bind the listeners if they are not, connect, and watch what answers."""

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
    """Look now whether the tunnel still lives, and what answers behind it."""


@dataclass(frozen=True, slots=True)
class StartServer:
    """Start Jupyter there, then look."""


@dataclass(frozen=True, slots=True)
class SuppressAutostart:
    """Start no Jupyter until the user asks again."""


@dataclass(frozen=True, slots=True)
class AllowStart:
    """The user has connected again: an entry that wants a Jupyter started gets one."""


@dataclass(frozen=True, slots=True)
class CheckHealth:
    """Look now at what answers behind the tunnel."""


@dataclass(frozen=True, slots=True)
class OpenBrowser:
    page: Page


@dataclass(frozen=True, slots=True)
class NotifyIdle:
    """Long-running cells have ended: tell the user."""

    server: Server
    runs: tuple[Run, ...]


Effect = (
    Open
    | Disconnect
    | Close
    | Forget
    | RetryAfter
    | Update
    | Ping
    | CheckHealth
    | StartServer
    | SuppressAutostart
    | AllowStart
    | OpenBrowser
    | NotifyIdle
)
