"""The SSH link as protocols: streams, remote commands, and the owners of remote listeners."""

from __future__ import annotations

import enum
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.endpoints import Endpoint
from trayconnect.core.errors import Problem, ProblemError


class ByteStream(Protocol):
    """The far end of one forwarded connection. One thread may read while another writes."""

    @property
    def is_over(self) -> bool:
        """Whether the stream is closed for sending in both directions."""
        ...

    def recv(self, size: int) -> bytes:
        """Block for up to `size` bytes; `b""` at the end of the stream. Raises OSError if the
        stream was cut off before its end."""
        ...

    def sendall(self, data: bytes | memoryview) -> None:
        """Block until all of it is sent. Raises OSError."""
        ...

    def shutdown_write(self) -> None:
        """Send the end of the data (SSH_MSG_CHANNEL_EOF, RFC 4254 section 5.3). Never raises."""
        ...

    def close(self) -> None:
        """Close both directions and wake blocked callers. Never raises; may be called twice."""
        ...


class Refusal(enum.Enum):
    """Why a server opened no channel."""

    FORBIDDEN = "forbidden"
    REFUSED = "refused"  # the host is up, and nothing listens on the port
    UNREACHABLE = "unreachable"  # no answer from the host, or no route to it
    UNRESOLVED = "unresolved"  # the server cannot resolve the host's name
    OTHER = "other"


class NotOpenedError(ProblemError):
    """The link is up, and the server did not open a channel."""

    def __init__(self, problem: Problem, refusal: Refusal) -> None:
        super().__init__(problem)
        self.refusal = refusal


class LostError(ProblemError):
    """The link has ended, whether or not `on_lost` was called yet."""


class OpenChannel(Protocol):
    """Opens a stream to `target` as seen from the server, for the local `origin`, an address and a
    port.

    Blocks for a bounded time. Raises `ProblemError`: a `NotOpenedError` if the server refuses, a
    `LostError` if the link has ended."""

    def __call__(self, target: Endpoint, origin: tuple[str, int]) -> ByteStream: ...


class Owner(enum.Enum):
    """Who owns a listener at the server, as seen from the account that is logged in there."""

    OURS = "ours"
    SYSTEM = "system"
    """Root or a system account: a service for everybody, or a proxy for another user's service."""
    UNKNOWN = "unknown"
    OTHERS = "others"
    NOBODY = "nobody"
    """Nothing listens there."""


@dataclass(frozen=True, slots=True)
class Own:
    """The target of a forward, provided that the account owns the listener there."""

    endpoint: Endpoint
    named: bool = True
    """Whether the file names the target. A listener of an unknown owner is then accepted, unless
    one there has been proven to be the account's own."""
    through: Carrier | None = field(default=None, repr=False)
    """The link to another host from which the target is seen; None: the session's own link."""


@dataclass(frozen=True, slots=True)
class NoPage(Problem):
    """Why no connection leads to the Jupyter of a batch job now."""

    through: Carrier | None = field(default=None, repr=False)
    """The link to the job's node, where other forwards lead all the same; None: there is none."""

    @classmethod
    def of(cls, problem: Problem, through: Carrier | None) -> NoPage:
        parts = (problem.title, problem.advice, problem.recovery, problem.detail, problem.wait)
        return cls(*parts, through)


class NotOursError(ProblemError):
    """There is a listener, but a connection to it may lead to another user."""

    def __init__(self, problem: Problem, owner: Owner) -> None:
        super().__init__(problem)
        self.owner = owner


class OpenOwnChannel(Protocol):
    """Opens a stream as `OpenChannel` does, and proves who owns the listener before a byte goes
    either way. `named`: see `Own`.

    Returns the owner too: OURS, or, if `named`, SYSTEM or UNKNOWN. Raises `ProblemError` as
    `OpenChannel` does, and `NotOursError`."""

    def __call__(
        self, target: Endpoint, origin: tuple[str, int], *, named: bool
    ) -> tuple[ByteStream, Owner]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Client:
    """A local connection to be carried. Nothing was read from it but its request for a target."""

    socket: socket.socket
    """Non-blocking."""
    origin: tuple[str, int]
    """Its address and port, for the server's log."""
    reply: bytes = b""
    """Goes to the client before the far end's first byte: a proxy's answer."""


OnRefused = Callable[[ProblemError], None]
"""Gets why no channel was opened for a client: a `NotOpenedError`, a `NotOursError`, a `LostError`
or another `ProblemError`. The client's socket is its caller's again. Runs on any thread, also
during the call that it belongs to: it must be quick and not raise."""

OnAccepted = Callable[[int, socket.socket], None]
"""Gets the number of a listening socket, and a new connection of it. Runs on the link's thread: it
must be quick and not raise."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the carried connections of a link have moved so far."""

    connections: int = 0
    """Those that are open now."""
    sent: int = 0
    """Bytes to the server."""
    received: int = 0
    """Bytes from the server."""


class Carrier(Protocol):
    """Carries local connections over channels, all on the link's own thread. From any thread;
    nothing here blocks but `release`.

    Half-close passes in both directions. When the link ends, connections that are carried are
    reset, and clients whose channel was not open yet are refused with a `LostError`."""

    def carry(self, client: Client, target: Endpoint, on_refused: OnRefused) -> None:
        """Open a channel to `target`, and carry the client over it; take ownership of its
        socket."""
        ...

    def carry_own(
        self,
        client: Client,
        target: Endpoint,
        *,
        named: bool,
        on_opened: Callable[[Owner], None],
        on_refused: OnRefused,
    ) -> None:
        """The same, if the listener at `target` is proven to be the account's own, before a byte
        goes either way; see `OpenOwnChannel`. `on_opened` gets its owner, on any thread."""
        ...

    def forget(self, target: Endpoint) -> None:
        """Close the channels to a target that were opened ahead of the next clients."""
        ...

    def accept(
        self, listening: Sequence[tuple[int, socket.socket]], on_accepted: OnAccepted
    ) -> None:
        """Accept connections of these non-blocking sockets, each with its number, until `release`
        or the end of the link."""
        ...

    def release(self) -> None:
        """Accept no more. The link's thread touches no listening socket after the return, which
        takes at most some seconds, and is at once on that thread itself."""
        ...

    @property
    def traffic(self) -> Traffic: ...


class Incoming(Protocol):
    """A connection that the server accepted for a remote forward, and that waits for an answer:
    `accept` or `refuse` is called once, from any thread."""

    @property
    def origin(self) -> str:
        """The client's address, as the server gives it."""
        ...

    def accept(self, sock: socket.socket, on_ended: Callable[[], None] = lambda: None) -> None:
        """Carry it to `sock`, which is non-blocking, and take ownership of that; returns at once.
        Raises OSError if the link has ended; then the socket is still the caller's.

        `on_ended` is called once, on the link's thread, when `sock` has been closed; not if this
        raises. It must be quick and not raise."""
        ...

    def refuse(self, reason: str, *, busy: bool = False) -> None:
        """Never raises. `busy`: there are too many connections."""
        ...


@dataclass(frozen=True, slots=True)
class Completed:
    """A finished remote command."""

    status: int
    stdout: bytes
    stderr: bytes


class NotEndedError(ProblemError):
    """A remote command did not end in time. `so_far` is its output until then; its status is -1."""

    def __init__(self, problem: Problem, so_far: Completed) -> None:
        super().__init__(problem)
        self.so_far = so_far


class RemoteProgram(ByteStream, Protocol):
    """A program that runs on the server; its standard input and output are the stream. Closing the
    stream ends it as far as it notices the end of its input, or the server passes signals on."""

    @property
    def said(self) -> bytes:
        """The last 4 KiB of its standard error so far."""
        ...

    @property
    def status(self) -> int | None:
        """Its exit status; None: it runs, or the server gave none."""
        ...


@dataclass(frozen=True, slots=True)
class Hop:
    """Another host behind a server, for a login there."""

    host: str
    """As seen from the server."""
    host_keys: tuple[str, ...]
    """Its public host keys, as in the .pub files of its SSH server, from a source that proves them.
    Only these are accepted, and nobody is asked."""
    port: int = 22


class Link(Carrier, Protocol):
    """A live, authenticated SSH link to a server."""

    @property
    def typed_login(self) -> bool:
        """Whether a human typed something for this login that a retry could not reuse."""
        ...

    @property
    def banner(self) -> str:
        """The banners and messages of the day of the servers on the route; "" if there are none."""
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
        """Who owns the listener at `target` now; bounded in time. Raises `ProblemError` if the link
        has ended."""
        ...

    def listen(
        self,
        where: Endpoint,
        on_incoming: Callable[[Incoming], None],
        on_answer: Callable[[int | Problem], None],
    ) -> None:
        """Ask the server to listen until the link ends; returns at once. A host of "" means every
        address, a port of 0 means one that the server chooses.

        `on_answer` gets the port (0 for a socket), or the problem; at most once, and not after the
        end. Both callbacks run on the transport's thread: they must be quick and not raise."""
        ...

    def execute(self, command: str, stdin: bytes, timeout: float) -> Completed:
        """Run a command to its end and keep the last 1 MiB of each output. Raises `ProblemError`; a
        `NotEndedError` after `timeout` seconds."""
        ...

    def start_program(self, command: str, timeout: float) -> RemoteProgram:
        """Start a command that runs on while its streams are used; returns when the server runs it,
        within `timeout` seconds. It ends with the link. Raises `ProblemError`."""
        ...

    def hop(self, node: Hop, *, cancel: CancelToken, on_lost: Callable[[Problem], None]) -> Link:
        """Log in to a host behind the server: the account of this link, with its keys and without
        a question. The hop is a link of its own, which ends with this one.

        Blocks for a bounded time. `on_lost` is called at most once, from any thread, when the hop
        is lost; not after its `close`. Raises `ProblemError`, and `Cancelled`."""
        ...

    def check(self) -> None:
        """Send a keepalive request now rather than at the next interval; returns at once. Silence
        is reported through `on_lost`."""
        ...

    @property
    def latency(self) -> float | None:
        """Round-trip time in seconds of the last answered keepalive request."""
        ...

    def close(self) -> None:
        """End the link and join its threads, in bounded time. Never raises; may be called twice."""
        ...
