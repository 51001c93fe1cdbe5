"""The services for the page of an entry without SSH, and for the pages of forwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import Command
from trayconnect.core.link import Link
from trayconnect.services.base import Poller, PollingService
from trayconnect.services.protocol import (
    ANSWERING,
    Desktop,
    Level,
    PageState,
    Post,
    ServiceStatus,
    SetTarget,
)
from trayconnect.services.webpage.machine import (
    CheckNow,
    DirectPage,
    EntryChanged,
    Event,
    LinkDown,
    OpenBrowser,
    PageHealth,
    status,
    step,
)

PAGES_SILENT = 15.0
PAGES_READY = 60.0
"""Seconds between two checks of the forwards' pages: while one is silent, and when all answer."""


CheckDirect = Callable[[str, CancelToken], PageHealth]
"""Checks the page of that URL once; bounded in time. Raises `Cancelled`."""
CheckPages = Callable[[Server, Link, CancelToken], Mapping[str, PageState]]
"""Checks whether the pages of forwards answer, and who owns them, by the names of the forwards that
have a page; bounded in time. Raises `Cancelled`. Without `ready` in the file, a page is not asked,
and counts as answering unless it belongs to another user."""


class DirectService(PollingService):
    """See `protocol.Service`: the page of an entry with a `url`."""

    def __init__(self, server: Server, post: Post, desktop: Desktop, check: CheckDirect) -> None:
        super().__init__(server.name, post, desktop)
        self._state = DirectPage(server)
        self._check = check

    def link_up(self, link: Link, set_target: SetTarget) -> None:  # noqa: ARG002 - no SSH
        def check(cancel: CancelToken) -> bool:
            url = self._state.server.url
            assert url is not None
            health = self._check(url, cancel)
            self._post(lambda: None if cancel.is_set() else self._feed(health))
            return health.level >= Level.READY

        self._begin(Poller(self._name, check))

    def link_down(self) -> None:
        super().link_down()
        self._feed(LinkDown())

    def handle(self, command: Command) -> None:
        self._feed(command)

    def update(self, server: Server) -> None:
        self._feed(EntryChanged(server))

    def status(self) -> ServiceStatus:
        return status(self._state)

    def _feed(self, event: Event) -> None:
        self._state, effects = step(self._state, event)
        for effect in effects:
            match effect:
                case CheckNow():
                    self.check()
                case OpenBrowser(page):
                    self._open(page)


class ForwardPages(PollingService):
    """See `protocol.Service`: the pages of forwards."""

    def __init__(self, server: Server, post: Post, desktop: Desktop, check: CheckPages) -> None:
        super().__init__(server.name, post, desktop)
        self._server = server
        self._check = check
        self._pages: Mapping[str, PageState] = {}

    def link_up(self, link: Link, set_target: SetTarget) -> None:  # noqa: ARG002
        asked = [forward.name for forward in self._server.forwards if forward.has_page]
        if not asked:
            return

        def check(cancel: CancelToken) -> bool:
            seen = self._check(self._server, link, cancel)
            cancel.check()
            self._post(lambda: None if cancel.is_set() else self._take_in(seen))
            return all(seen.get(name) in ANSWERING for name in asked)

        self._begin(
            Poller(self._name, check, lambda silent: PAGES_SILENT if silent else PAGES_READY)
        )

    def link_down(self) -> None:
        super().link_down()
        self._pages = {}

    def handle(self, command: Command) -> None:
        """Only the clock triggers a check."""

    def check(self) -> None:
        """Only the clock triggers a check."""

    def refused(self) -> None:
        """The refused connection was to the entry's own port."""

    def update(self, server: Server) -> None:
        self._server = server

    def status(self) -> ServiceStatus:
        return ServiceStatus(pages=self._pages)

    def _take_in(self, seen: Mapping[str, PageState]) -> None:
        self._pages = seen
