"""What runs behind a link, as data."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from trayconnect.core.errors import Problem
from trayconnect.core.link import Own
from trayconnect.core.page import Page


class Level(enum.IntEnum):
    """How far end-to-end health goes, behind a live link."""

    NOTHING = 1
    REACHABLE = 2
    """The port answers."""
    READY = 3
    """The page answers."""
    LOGGED_IN = 4

    @property
    def told(self) -> str:
        """Its name in `status --json`, in reports and by doctor."""
        return _LEVELS[self]


_LEVELS = {
    Level.NOTHING: "ssh",
    Level.REACHABLE: "port",
    Level.READY: "jupyter",
    Level.LOGGED_IN: "logged_in",
}


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

    level: Level
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
