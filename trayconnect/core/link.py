"""The SSH link as protocols: streams, remote commands, and whose a listener is."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from trayconnect.core.endpoints import Endpoint
from trayconnect.core.errors import Problem, ProblemError


class ByteStream(Protocol):
    """One forwarded connection's far end. Reading and writing may go on in two threads at once."""

    @property
    def is_over(self) -> bool:
        """Whether nothing can be sent any more, in either direction."""
        ...

    def recv(self, size: int) -> bytes:
        """Block for up to `size` bytes; `b""` at the end of the stream. Raises OSError when it was
        cut off before its end."""
        ...

    def sendall(self, data: bytes | memoryview) -> None:
        """Block until all is taken. Raises OSError."""
        ...

    def shutdown_write(self) -> None:
        """Tell the far end that no more will be sent (SSH_MSG_CHANNEL_EOF, RFC 4254 section 5.3).
        Never raises."""
        ...

    def close(self) -> None:
        """Drop both directions and wake blocked callers. Never raises; may be called twice."""
        ...


class Refusal(enum.Enum):
    """Why a server opened no stream."""

    FORBIDDEN = "forbidden"
    REFUSED = "refused"  # the host is there, and nothing listens
    UNREACHABLE = "unreachable"  # no answer from that host, or no way to it
    UNRESOLVED = "unresolved"  # the server does not know a host of that name
    OTHER = "other"


class NotOpenedError(ProblemError):
    """The tunnel is there, and the server did not open a stream."""

    def __init__(self, problem: Problem, refusal: Refusal) -> None:
        super().__init__(problem)
        self.refusal = refusal


class LostError(ProblemError):
    """The tunnel has ended, whether or not `on_lost` was called yet."""


class OpenChannel(Protocol):
    """Opens a stream to `target` as seen from the server, on behalf of the local `origin`, an
    address and a port.

    Blocks for a bounded time. Raises `ProblemError`: a `NotOpenedError` when the server
    refuses, a `LostError` when the tunnel has ended."""

    def __call__(self, target: Endpoint, origin: tuple[str, int]) -> ByteStream: ...


class Owner(enum.Enum):
    """Whose a listener at the server is, seen from the account that is logged in there."""

    OURS = "ours"
    SYSTEM = "system"
    """Of root or of a system account: a service for all, or a way to somebody's."""
    UNKNOWN = "unknown"
    OTHERS = "others"
    NOBODY = "nobody"
    """Nothing listens there."""


@dataclass(frozen=True, slots=True)
class Own:
    """Where a forward leads, if the listener there is the account's own."""

    endpoint: Endpoint
    named: bool = True
    """Whether the file names it: then one whose owner cannot be known is taken, too, as long as no
    listener there has been proven to be the account's own."""


class NotOursError(ProblemError):
    """There is a listener, but a connection to it may lead to a stranger."""

    def __init__(self, problem: Problem, owner: Owner) -> None:
        super().__init__(problem)
        self.owner = owner


class OpenOwnChannel(Protocol):
    """Opens a stream, as `OpenChannel` does, and proves whose the listener is before a byte goes
    either way. `named`: see `Own`.

    Returns the owner too: OURS, or, if `named`, SYSTEM or UNKNOWN. Raises `ProblemError` as
    `OpenChannel` does, and `NotOursError`."""

    def __call__(
        self, target: Endpoint, origin: tuple[str, int], *, named: bool
    ) -> tuple[ByteStream, Owner]: ...


class Incoming(Protocol):
    """A connection that the server took in for a remote forward, and that waits for an answer:
    one of these is called, once, from any thread."""

    @property
    def origin(self) -> str:
        """Who connected, in the server's words."""
        ...

    def accept(self) -> ByteStream:
        """Raises OSError when the tunnel is gone."""
        ...

    def refuse(self, reason: str, *, busy: bool = False) -> None:
        """Never raises. `busy`: there are too many."""
        ...


@dataclass(frozen=True, slots=True)
class Completed:
    """A finished remote command."""

    status: int
    stdout: bytes
    stderr: bytes


class NotEndedError(ProblemError):
    """A remote command did not end in time. `so_far` is what it said; its status is -1."""

    def __init__(self, problem: Problem, so_far: Completed) -> None:
        super().__init__(problem)
        self.so_far = so_far


class Link(Protocol):
    """A live, logged-in way to a server."""

    @property
    def typed_login(self) -> bool:
        """Whether a human typed something for this login that a retry could not reuse."""
        ...

    @property
    def banner(self) -> str:
        """What the servers on the way gave to be read at the login; "" for nothing."""
        ...

    def open_channel(self, target: Endpoint, origin: tuple[str, int]) -> ByteStream:
        """See `OpenChannel`."""
        ...

    def open_own_channel(
        self, target: Endpoint, origin: tuple[str, int], *, named: bool
    ) -> tuple[ByteStream, Owner]:
        """See `OpenOwnChannel`."""
        ...

    def owner(self, target: Endpoint) -> Owner:
        """Whose the listener at `target` is now; bounded in time. Raises `ProblemError` when the
        tunnel is gone."""
        ...

    def listen(
        self,
        where: Endpoint,
        on_incoming: Callable[[Incoming], None],
        on_answer: Callable[[int | Problem], None],
    ) -> None:
        """Ask the server to listen until the tunnel ends; returns at once. A host of "" is every
        address, a port of 0 is one that the server chooses.

        `on_answer` gets the port (0 for a socket), or why not; at most once, and not after the
        end. Both are called on the tunnel's own thread: they must be quick and not raise."""
        ...

    def unlisten(self, where: Endpoint) -> None:
        """Take that back, in the words of the `listen`; returns at once."""
        ...

    def execute(self, command: str, stdin: bytes, timeout: float) -> Completed:
        """Run a command to its end; of each output, the last 1 MiB is kept. Raises `ProblemError`;
        a `NotEndedError` when `timeout` seconds pass."""
        ...

    def check(self) -> None:
        """Ask the server for a sign of life now rather than at the next interval; returns at
        once. Silence is reported through `on_lost`."""
        ...

    @property
    def latency(self) -> float | None:
        """Seconds that the last answered heartbeat took."""
        ...

    def close(self) -> None:
        """End it and join its threads, in bounded time. Never raises; may be called twice."""
        ...
