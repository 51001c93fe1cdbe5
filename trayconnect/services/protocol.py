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
from trayconnect.core.command import Command
from trayconnect.core.errors import Problem
from trayconnect.core.link import Link
from trayconnect.core.notices import Notifier
from trayconnect.core.page import Browser, Page
from trayconnect.services.model import Level, PageState, SetTarget


class Order:
    """What the user wants of a service; a kind may have orders of its own."""


@dataclass(frozen=True, slots=True)
class Wanted(Order):
    """The user wants it connected. `show`: and its page opened, even where `open_browser` is
    off."""

    show: bool = False


@dataclass(frozen=True, slots=True)
class Unwanted(Order):
    """The user wants it disconnected: every other order is forgotten."""


@dataclass(frozen=True, slots=True)
class Renewed(Order):
    """A new link takes the place of this one, as the user ordered, or as the file changed."""

    by_user: bool


@dataclass(frozen=True, slots=True)
class LookAgain(Order):
    """Something that the next look depends on may have changed."""


@dataclass(frozen=True, slots=True)
class Line:
    """Something to read about a service."""

    key: str
    """The same for what takes its place later."""
    text: str
    in_menu: bool = True
    """Whether it is worth a line of the menu; the others stand in `trayconnect status`."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Something that the user can order of a service, or a submenu of such."""

    key: str
    text: str
    command: Command | None = None
    enabled: bool = True
    checked: bool | None = None
    """None where there is no check mark."""
    radio: bool = False
    """Whether it is one of several of which one is checked."""
    children: tuple[Offer, ...] = ()
    mends: bool = False
    """Whether it may solve the problem, and stands beside it then."""


NO_FACTS: Mapping[str, object] = {
    "starting": False,
    "runs_in": None,
    "kernels": None,
    "jupyters": [],
    "unproven": False,
}
"""What `trayconnect status --json` says of every server, whatever its service is."""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A service at one moment, as data for whoever shows it."""

    level: Level = Level.NOTHING
    """How far end-to-end health goes, while the link is up."""
    page: Page | None = None
    """What to open, once it answers."""
    problem: Problem | None = None
    """Why it is not better than it is, while the link is up."""
    words: str = ""
    """Its state while the link is up, as people say it."""
    lines: tuple[Line, ...] = ()
    commands: tuple[Offer, ...] = ()
    in_progress: bool = False
    """Whether something is under way that the user waits for."""
    browser_pending: bool = False
    """The user's connect has not led to a page yet."""
    looks: int = 0
    """How often it was looked what answers."""
    pages: Mapping[str, PageState] = field(default_factory=dict)
    """What the pages of forwards do, by the names of these."""
    json: Mapping[str, object] = field(default_factory=lambda: NO_FACTS)
    details: object = None
    """What only those know who know the kind."""


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
