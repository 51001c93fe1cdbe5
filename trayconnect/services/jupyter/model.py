"""What is known of the Jupyters of a server, as data."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from trayconnect.core.errors import Problem
from trayconnect.core.page import Page
from trayconnect.services.protocol import Level


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
    """The notebook or console that it belongs to, else its kernel specification."""
    state: KernelState
    last_activity: float | None = None
    """Seconds since the epoch, by our clock."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that a Jupyter and its kernels use, and their limit."""

    used: int
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Kernels:
    """The kernels of a Jupyter; `memory` is None if unknown."""

    running: tuple[Kernel, ...] = ()
    memory: Memory | None = None


_OUR_SOCKET = re.compile(r"/tc-[0-9]+[^/]*/[^/]+\.sock$")


def is_our_socket(path: str) -> bool:
    """Whether the start script made that socket: then its path means nothing to the user."""
    return _OUR_SOCKET.search(path) is not None


@dataclass(frozen=True, slots=True)
class FoundJupyter:
    """A Jupyter server behind the link."""

    where: str
    """Its port, its address and port, or the path of its socket: unique on the server."""
    root_dir: str
    folder: str
    """The same with ~ for the home folder."""
    version: str
    kernels: int | None
    """Its number of kernels; None if unknown."""
    in_use: bool
    """Whether the local port leads to it."""
    of_hub: bool = False
    """Whether a JupyterHub started it, so that only the Hub logs in."""
    is_own: bool = True
    """Whether it is what the entry would start: same folder, same environment."""
    pid: int = 0
    """Its process on the server."""
    born: str = ""
    """When that process began, since process numbers are used again. Empty if unknown."""


@dataclass(frozen=True, slots=True)
class Health:
    """The result of one health check; `problem` says why its level is not higher."""

    level: Level
    page: Page
    problem: Problem | None = None
    jupyters: tuple[FoundJupyter, ...] = ()
    """All that run there; of a fixed port, at most one."""
    missing: bool = False
    """Whether no Jupyter of this account runs where the entry wants one."""
    looked: bool = True
    """Whether the search for Jupyters worked."""
    kernels: Kernels | None = None
    """None if unknown."""
    unproven: bool = False
    """Whether the owner of the listener behind the local port is unknown."""
    left: str = ""
    """The folder of the Jupyter that the local port led to before, if that is another one and this
    check the first to see the new one's page."""
