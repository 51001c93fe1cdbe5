"""What the session asks of the world, as protocols; the rooms behind them never meet."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote

from trayconnect.cancel import Cancel
from trayconnect.config.endpoints import Endpoint
from trayconnect.config.model import Forward, Server
from trayconnect.errors import Problem, ProblemError

# --- questions to the user --------------------------------------------------------------------


class QuestionKind(enum.Enum):
    PASSWORD = "password"
    PASSPHRASE = "passphrase"
    ONE_TIME_CODE = "one-time-code"
    """A code that works once: never kept, and of no use to a retry."""
    KEYBOARD_INTERACTIVE = "keyboard-interactive"
    """The server's own prompts, in its own words (RFC 4256)."""
    PRIVATE_KEY = "private-key"
    """A key file's text, to be pasted."""
    HOST_KEY = "host-key"
    VISIT = "visit"
    """What a login waits for elsewhere: a page to visit, a telephone. The attempt goes on when
    that is done, be the question answered or not."""
    CONFIRM = "confirm"
    """Whether to do what the user asked for, though it costs something."""


@dataclass(frozen=True, slots=True)
class Field:
    """One value to fill in: a line, or a text of several."""

    label: str
    secret: bool = True
    multiline: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """Something only the user can say.

    Without `fields` it is a yes-or-no question, and the safe answer, the default, is no.
    """

    kind: QuestionKind
    server: str
    """The entry's name, as in the menu."""
    title: str
    message: str
    fields: tuple[Field, ...] = ()
    confirm: str = "OK"
    """The word on the button that answers; the other one says Cancel."""
    can_remember: bool = False
    """Offer to keep the answer in the system keyring."""
    url: str = ""
    """The page that a yes opens."""

    @property
    def may_be_empty(self) -> bool:
        """Whether an empty value answers: to a server's own prompt it can mean something, such as
        "send me a push"."""
        return self.kind in (QuestionKind.ONE_TIME_CODE, QuestionKind.KEYBOARD_INTERACTIVE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the user said: a value a field (none for a plain yes)."""

    values: tuple[str, ...] = field(default=(), repr=False)
    remember: bool = False


class Ask(Protocol):
    """How an attempt asks: blocks until the user answers.

    Raises `Cancelled` when the user declines, or disconnects.
    """

    def __call__(self, question: Question) -> Answer: ...


class Tell:
    """How an attempt tells what it waits for, and goes on meanwhile. This one tells nobody."""

    def say(self, text: str) -> None:
        """What the way to the server says: a line for people, in the place of the last one."""

    def show(self, question: Question) -> Callable[[], None]:  # noqa: ARG002
        """Show a question of kind VISIT. What is returned takes it away, and waits for that."""
        return lambda: None


class Prompter(Protocol):
    """Puts questions to the user, one at a time."""

    def ask(self, question: Question, cancel: Cancel) -> Answer | None:
        """Block until answered. None: declined, or `cancel` withdrew the question.

        Raises `ProblemError` when there is no way to ask."""
        ...

    def bring_to_front(self) -> None:
        """Show the open question again to a user who lost sight of it, where that can be done; from
        any thread. Never raises."""
        ...


# --- a tunnel ---------------------------------------------------------------------------------


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


class Tunnel(Protocol):
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


class Connector(Protocol):
    """Opens tunnels."""

    def connect(
        self,
        server: Server,
        *,
        ask: Ask,
        cancel: Cancel,
        on_lost: Callable[[Problem], None],
        tell: Tell = Tell(),  # noqa: B008 - it has no state
    ) -> Tunnel:
        """Connect and log in, every wait bounded.

        `on_lost` is called at most once, from any thread, when the tunnel that was returned
        dies by itself; not after `close`. Raises `ProblemError`, and `Cancelled` after
        `cancel.set()`."""
        ...

    def forget(self, server: Server) -> None:
        """The user disconnected: drop what was kept in memory to log in again by itself."""
        ...


# --- the local side ---------------------------------------------------------------------------


class Forwarding(Protocol):
    """What one session listens on here, whatever becomes of its tunnels, and the connections of
    its forwards."""

    @property
    def left_out(self) -> tuple[tuple[str, Problem], ...]:
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


# --- what answers -----------------------------------------------------------------------------


class Reached(enum.IntEnum):
    """How far end-to-end health goes."""

    SSH = 1
    PORT = 2
    JUPYTER = 3
    LOGGED_IN = 4


@dataclass(frozen=True, slots=True)
class Page:
    """What to open in a browser. `token` logs in, and must not show anywhere."""

    url: str
    token: str = field(default="", repr=False)
    root: str = field(default="", compare=False)
    """The address below which the server's own API is; ends with a slash."""

    @property
    def link(self) -> str:
        """The address with the token in it: a secret, for the user's own eyes and clipboard."""
        if not self.token:
            return self.url
        before, is_fragment, fragment = self.url.partition("#")
        joint = "&" if "?" in before else "?"
        if before.endswith(("?", "&")):
            joint = ""
        token = quote(self.token, safe="")
        return f"{before}{joint}token={token}{is_fragment}{fragment}"


class KernelState(enum.Enum):
    BUSY = "busy"
    IDLE = "idle"
    OTHER = "other"
    """Starting, restarting, dead."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel of a Jupyter at one moment."""

    id: str
    name: str
    """The notebook or console that it runs for, else what kind of kernel it is."""
    state: KernelState
    last_activity: float | None = None
    """Seconds since the epoch, by our clock."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that a Jupyter and its kernels use, and may use."""

    used: int
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Kernels:
    """What runs on a Jupyter; `memory` where it tells."""

    running: tuple[Kernel, ...] = ()
    memory: Memory | None = None


_OUR_SOCKET = re.compile(r"/tc-[0-9]+[^/]*/[^/]+\.sock$")


def is_our_socket(path: str) -> bool:
    """Whether a path on a server is that of a socket which the start script made: nobody chose it,
    so nobody is told of it."""
    return _OUR_SOCKET.search(path) is not None


@dataclass(frozen=True, slots=True)
class FoundJupyter:
    """A Jupyter server that runs at the far end."""

    where: str
    """Its port, its address and port, or the path of its socket: no other there has the same."""
    root_dir: str
    folder: str
    """The same as people write it, with ~ for the home folder."""
    version: str
    kernels: int | None
    """How many it runs; None where nothing tells."""
    in_use: bool
    """Whether the local port leads to it."""
    of_hub: bool = False
    """Whether a JupyterHub started it, so that only its Hub logs in."""
    is_own: bool = True
    """Whether it is what the entry would start: in that folder, from that environment."""
    pid: int = 0
    """Its process on the server."""
    born: str = ""
    """When that process began: tells it from a later one of the same number. Empty if unknown."""


@dataclass(frozen=True, slots=True)
class Health:
    """One look at what is behind the tunnel; `problem` says why it is not further."""

    reached: Reached
    page: Page
    problem: Problem | None = None
    jupyters: tuple[FoundJupyter, ...] = ()
    """All that run there; of a fixed port, at most one."""
    missing: bool = False
    """Whether no Jupyter of this account runs where the entry wants one."""
    looked: bool = True
    """Whether it could be looked which Jupyters run there."""
    kernels: Kernels | None = None
    """What runs there, where it tells."""
    unproven: bool = False
    """Whether the local port leads to a listener whose owner is not known."""


SetTarget = Callable[[Own | Problem], None]
"""See `Forwarding.set_target`."""


class Examine(Protocol):
    """Looks once, end to end, through the session's own local port; bounded in time.

    Calls `set_target` with where Jupyter listens before it uses the local port. Raises
    `Cancelled`."""

    def __call__(
        self, server: Server, tunnel: Tunnel, set_target: SetTarget, cancel: Cancel
    ) -> Health: ...


class PageState(enum.Enum):
    """What the page of a forward does."""

    SILENT = "silent"
    ANSWERS = "answers"
    UNPROVEN = "unproven"
    """It answers, and nothing tells whose it is."""
    OTHERS = "others"
    """What listens there belongs to another user; it is not asked."""


ANSWERING = (PageState.ANSWERS, PageState.UNPROVEN)
"""The states of a page that can be opened."""


class LookAtPages(Protocol):
    """Asks the pages of forwards whether they are ready, and whose they are; bounded in time.
    Raises `Cancelled`."""

    def __call__(self, server: Server, tunnel: Tunnel, cancel: Cancel) -> Mapping[str, PageState]:
        """By the names of the forwards that have one. One for which the file gives no `ready` is
        not asked, and counts as answering unless it belongs to another user."""
        ...


class Launch(Protocol):
    """Starts Jupyter on the server, as the entry says, in a way that outlives the tunnel; one that
    an earlier start left running is found. Takes minutes at most.

    Returns what it runs in, in words. Raises `ProblemError`, and `Cancelled`."""

    def __call__(self, server: Server, tunnel: Tunnel, cancel: Cancel) -> str: ...


class HowItEnded(Protocol):
    """Asks how a Jupyter that was in use has ended; bounded in time. Raises `Cancelled`."""

    def __call__(
        self, server: Server, tunnel: Tunnel, used: FoundJupyter, cancel: Cancel
    ) -> bool | None:
        """Whether it crashed, or went with its host: it had no proper end. False, too, where
        nothing tells; None as long as it has not ended."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """The Jupyter that the user chose among those of one server."""

    root_dir: str
    where: str
    """Where it listened then; tells apart those of one folder, as long as it holds."""


class Choices(Protocol):
    """What the user chose, by the names of the entries; from any thread."""

    def get(self, server: str) -> Choice | None: ...

    def put(self, server: str, choice: Choice) -> None:
        """Raises `ProblemError` where it cannot be kept for the next run; it then holds for this
        one."""
        ...

    def forget(self, server: str) -> None:
        """Nothing is chosen any more. Never raises."""
        ...


# --- the desktop ------------------------------------------------------------------------------


class Urgency(enum.Enum):
    NORMAL = "normal"
    CRITICAL = "critical"
    """Stays until the user has seen it."""


class NoticeAction(enum.Enum):
    """What a button of a notice orders; the menu can do each of them too."""

    OPEN = "open"
    RETRY = "retry"
    DISCONNECT = "disconnect"
    EDIT = "edit"
    """Edit the server file."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the user must know now. Plain text; nothing in it is secret."""

    tag: str
    """What it is about: on the screen, a newer notice of the same tag takes its place."""
    title: str
    body: str = ""
    urgency: Urgency = Urgency.NORMAL
    passing: bool = False
    """Whether it need not be kept for a user who was away."""
    asked: bool = False
    """Whether it answers what the user just did, who then wants to see it again."""
    server: str = ""
    """The entry's name that the actions are for."""
    actions: tuple[NoticeAction, ...] = ()
    """The most useful one first."""

    @classmethod
    def of(
        cls,
        tag: str,
        problem: Problem,
        *,
        asked: bool = False,
        actions: tuple[NoticeAction, ...] = (),
    ) -> Notice:
        """What went wrong. Desktops keep a critical notice until it is closed: only one with a
        button is worth that."""
        urgency = Urgency.CRITICAL if actions else Urgency.NORMAL
        return cls(tag, problem.title, problem.advice, urgency, asked=asked, actions=actions)


class Notifier(Protocol):
    """Shows notices, each once: what is still there is not shown again, unless `asked`."""

    def notify(self, notice: Notice) -> None:
        """Show it, or drop it where that is impossible; returns at once. Never raises."""
        ...

    def withdraw(self, tag: str) -> None:
        """It no longer holds: take it off the screen, where that can be done. As `notify`."""
        ...


class Browser(Protocol):
    def open(self, page: Page) -> None:
        """Open the default browser. Raises `ProblemError`."""
        ...


class Secrets(Protocol):
    """The system keyring. Every call is bounded in time and raises `ProblemError` when it can't
    be used."""

    def get(self, server: str, account: str) -> str | None: ...

    def set(self, server: str, account: str, secret: str) -> None: ...

    def delete(self, server: str, account: str) -> None: ...


class Clock(Protocol):
    def time(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float: ...


class Autostart(Protocol):
    """Whether the program starts at login, as the system itself knows it."""

    def is_on(self) -> bool: ...

    def turn_on(self) -> None:
        """Raises `ProblemError`."""
        ...

    def turn_off(self) -> None:
        """Raises `ProblemError`."""
        ...


# --- null implementations ---------------------------------------------------------------------


class NoPrompter:
    """Nobody to ask."""

    def ask(self, question: Question, cancel: Cancel) -> Answer | None:  # noqa: ARG002
        return None

    def bring_to_front(self) -> None:
        pass


class NoNotifier:
    def notify(self, notice: Notice) -> None:
        pass

    def withdraw(self, tag: str) -> None:
        pass


class NoBrowser:
    def open(self, page: Page) -> None:
        pass


class BriefChoices:
    """Remembers until the program ends."""

    def __init__(self) -> None:
        self._choices: dict[str, Choice] = {}

    def get(self, server: str) -> Choice | None:
        return self._choices.get(server)

    def put(self, server: str, choice: Choice) -> None:
        self._choices[server] = choice

    def forget(self, server: str) -> None:
        self._choices.pop(server, None)


class NoSecrets:
    """Forgets everything."""

    def get(self, server: str, account: str) -> str | None:  # noqa: ARG002
        return None

    def set(self, server: str, account: str, secret: str) -> None:
        pass

    def delete(self, server: str, account: str) -> None:
        pass
