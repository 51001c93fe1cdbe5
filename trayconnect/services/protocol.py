"""What runs behind a link: the protocol that every kind of service keeps, and its status as data.

A service belongs to one entry of the file, and outlives its links. Its methods are called on the
manager's thread and return at once, but for `refused`, which any thread may call. Work goes on in
threads of the service's own; what they find they `post`, and the manager runs it on its thread and
then reads `status` again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from trayconnect.config.model import Server
from trayconnect.core.errors import Problem
from trayconnect.core.link import Link
from trayconnect.core.notices import Notifier
from trayconnect.core.page import Browser, Page
from trayconnect.services.jupyter.activity import Activity
from trayconnect.services.model import FoundJupyter, PageState, Reached, SetTarget


@dataclass(frozen=True, slots=True)
class Wanted:
    """The user wants it connected. `show`: and its page opened, even where `open_browser` is
    off."""

    show: bool = False


@dataclass(frozen=True, slots=True)
class Unwanted:
    """The user wants it disconnected: every other order is forgotten."""


@dataclass(frozen=True, slots=True)
class Renewed:
    """A new link takes the place of this one, as the user ordered, or as the file changed."""

    by_user: bool


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Something that the next look depends on may have changed."""


@dataclass(frozen=True, slots=True)
class StartJupyter:
    """The user wants a Jupyter started there, once there is a link."""


@dataclass(frozen=True, slots=True)
class JupyterStopped:
    """The user has the Jupyter there stopped: it is about to end, or it is `done`."""

    done: bool = True


Order = Wanted | Unwanted | Renewed | LookAgain | StartJupyter | JupyterStopped


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A service at one moment; what it says holds while its link is up."""

    reached: Reached = Reached.SSH
    """How far end-to-end health goes."""
    page: Page | None = None
    """What to open, once it answers."""
    problem: Problem | None = None
    """Why it is not better than it is."""
    browser_pending: bool = False
    """The user's connect has not led to a page yet."""
    looks: int = 0
    """How often it was looked what answers."""
    looked: bool = False
    """Whether it is known what runs there."""
    hindered: bool = False
    """Whether something must be changed first before a page there could be reached."""
    starting: bool = False
    launcher: str = ""
    """What the Jupyter that was started there runs in: "in the tmux session …"."""
    jupyters: tuple[FoundJupyter, ...] = ()
    kernels: Activity | None = None
    unproven: bool = False
    pages: Mapping[str, PageState] = field(default_factory=dict)
    """What the pages of forwards do, by the names of these."""


class Service(Protocol):
    def link_up(self, link: Link, set_target: SetTarget) -> None:
        """A live link; `set_target` says where the entry's local port leads. Raises RuntimeError
        when no thread is to be had."""
        ...

    def link_down(self) -> None:
        """The link is gone, or about to be closed."""
        ...

    def handle(self, order: Order) -> None: ...

    def update(self, server: Server) -> None:
        """The entry changed."""
        ...

    def refused(self) -> None:
        """A connection to the entry's local port could not be carried through."""
        ...

    def status(self) -> ServiceStatus: ...

    def close(self) -> bool:
        """End and join what is left of the threads; false if one has not ended in time."""
        ...


Post = Callable[[Callable[[], None]], None]
"""Has something done on the manager's thread. From any thread."""


@dataclass(frozen=True, slots=True)
class Desktop:
    """What services use of the user's desktop."""

    browser: Browser
    notifier: Notifier


MakeServices = Callable[[Server, Post], tuple[Service, ...]]
"""Makes the services of an entry. The first one is what the entry is for: its page opens."""
