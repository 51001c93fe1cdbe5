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
