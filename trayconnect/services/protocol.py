"""What runs behind a link: the protocol of every kind of service, and its status as data.

A service belongs to one entry of the file, and outlives its links. Its methods are called on the
manager's thread and return at once, but for `run` and `refused`. Work goes on in threads of the
service; their results are posted to the manager's thread, which then reads `status` again.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from trayconnect.core.command import JSON, Command
from trayconnect.core.errors import Problem
from trayconnect.core.page import Browser, Page

if TYPE_CHECKING:
    from trayconnect.config.model import Server
    from trayconnect.core.cancellation import CancelToken
    from trayconnect.core.link import Link, Own
    from trayconnect.core.notices import Notifier
    from trayconnect.core.questions import Prompter


class Level(enum.IntEnum):
    """How far end-to-end health goes, behind a live link."""

    NOTHING = 1
    REACHABLE = 2
    """The port answers."""
    READY = 3
    """The page answers."""
    LOGGED_IN = 4

    @property
    def label(self) -> str:
        """Its name in `status --json`, in reports and by doctor."""
        return _LEVELS[self]


_LEVELS = {
    Level.NOTHING: "ssh",
    Level.REACHABLE: "port",
    Level.READY: "jupyter",
    Level.LOGGED_IN: "logged_in",
}


class PageState(enum.Enum):
    """What the page of a forward does."""

    SILENT = "silent"
    ANSWERS = "answers"
    UNPROVEN = "unproven"
    """It answers, and its owner is unknown."""
    OTHERS = "others"
    """Its listener belongs to another user, and is not asked."""


ANSWERING = (PageState.ANSWERS, PageState.UNPROVEN)
"""The states of a page that can be opened."""


@dataclass(frozen=True, slots=True)
class Line:
    """Something to read about a service."""

    key: str
    """The same for what takes its place later."""
    text: str
    in_menu: bool = True
    """Whether it is worth a line of the menu; `trayconnect status` shows every line."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A command that the service offers, or a submenu of commands."""

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


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A service at one moment, as data for menu, windows, command line and JSON."""

    level: Level = Level.NOTHING
    """How far end-to-end health goes, while the link is up."""
    page: Page | None = None
    """What to open, once it answers."""
    problem: Problem | None = None
    """Why its level is not higher, while the link is up."""
    state_text: str = ""
    """For people, while the link is up."""
    lines: tuple[Line, ...] = ()
    commands: tuple[Offer, ...] = ()
    in_progress: bool = False
    """Whether something is under way that the user waits for."""
    browser_pending: bool = False
    """The user's connect has not led to a page yet."""
    expects_page: bool = True
    """Whether a page is to be had now. False: what shows it does not run yet, or has ended, and the
    service itself notifies of that."""
    checks: int = 0
    """How many health checks have ended."""
    pages: Mapping[str, PageState] = field(default_factory=dict)
    """The pages of forwards, by the names of these."""
    json: Mapping[str, JSON] = field(default_factory=dict)
    """What only this kind says in `trayconnect status --json`."""


SetTarget = Callable[["Own | Problem"], None]
"""See `Forwarding.set_target`."""


class Service(Protocol):
    def link_up(self, link: Link, set_target: SetTarget) -> None:
        """A live link; `set_target` says where the entry's local port leads. Raises RuntimeError
        when the system has no thread left."""
        ...

    def link_down(self) -> None:
        """The link is gone, or about to be closed."""
        ...

    def handle(self, command: Command) -> None:
        """The user's command to connect, open, disconnect or reconnect the entry."""
        ...

    def run(self, command: Command, cancel: CancelToken) -> JSON:
        """Carry out one of `Kind.commands`, on the thread of its sender, for as long as that takes,
        and return the reply. None: the reply is the status of the entry, after a `wait` of the
        command for its page. Raises `ProblemError`, and `Cancelled`."""
        ...

    def check(self) -> None:
        """Something that the next health check depends on may have changed."""
        ...

    def update(self, server: Server) -> None:
        """The entry changed."""
        ...

    def dropped(self) -> None:
        """The entry is gone from the file, or has become one of another kind: `close` follows."""
        ...

    def refused(self) -> None:
        """A connection to the entry's local port could not be carried through. From any thread."""
        ...

    def status(self) -> ServiceStatus: ...

    def close(self) -> bool:
        """End and join the remaining threads; false if one has not ended in time."""
        ...


Post = Callable[[Callable[[], None]], None]
"""Has something done on the manager's thread. From any thread."""


@dataclass(frozen=True, slots=True)
class Desktop:
    """What services use of the user's desktop."""

    browser: Browser
    notifier: Notifier
    prompter: Prompter
    show_text: Callable[[str, str], None]
    """Shows a text of that title in a window, at its end. Raises `ProblemError`."""


MakeServices = Callable[["Server", Post], tuple[Service, ...]]
"""Makes the services of an entry. The first one is what the entry is for: its page opens."""


@dataclass(frozen=True, slots=True)
class PageDebt:
    """The user's commands that have not led to a page yet. The next page that answers settles
    them."""

    browser_pending: bool = False
    """The user has connected."""
    force_open: bool = False
    """The user asked for the page: it opens even where `open_browser` is off."""

    def owe(self, *, show: bool) -> PageDebt:
        """After another connect by the user."""
        return PageDebt(browser_pending=True, force_open=self.force_open or show)

    def opens(self, server: Server) -> bool:
        """Whether the page opens, now that it answers."""
        return self.force_open or (self.browser_pending and server.open_browser)


NO_DEBT = PageDebt()
