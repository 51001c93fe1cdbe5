"""The web page of an entry that is reached without SSH, and the pages behind forwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.link import Link
from trayconnect.services.base import LookingService
from trayconnect.services.looker import Looker
from trayconnect.services.model import ANSWERING, Health, Level, PageState, SetTarget
from trayconnect.services.page_debt import NO_DEBT, PageDebt
from trayconnect.services.protocol import (
    Desktop,
    LookAgain,
    Order,
    Post,
    ServiceStatus,
    Unwanted,
    Wanted,
)

PAGES_SILENT = 15.0
PAGES_READY = 60.0
"""Seconds between two looks at the forwards' pages: while one does not answer, and when all do."""


class LookDirect(Protocol):
    """Looks once at a page; bounded in time. Raises `Cancelled`."""

    def __call__(self, url: str, cancel: CancelToken) -> Health: ...


class LookAtPages(Protocol):
    """Asks the pages of forwards whether they are ready, and whose they are; bounded in time.
    Raises `Cancelled`."""

    def __call__(
        self, server: Server, tunnel: Link, cancel: CancelToken
    ) -> Mapping[str, PageState]:
        """By the names of the forwards that have one. One for which the file gives no `ready` is
        not asked, and counts as answering unless it belongs to another user."""
        ...


@dataclass(frozen=True, slots=True)
class DirectPage:
    """What is known of the page of an entry."""

    server: Server
    is_linked: bool = False
    health: Health | None = None
    """What the last look found, while linked."""
    looks: int = 0
    debt: PageDebt = NO_DEBT

    @property
    def is_ready(self) -> bool:
        return self.health is not None and self.health.level >= Level.READY


class DirectService(LookingService):
    """See `protocol.Service`: the page of an entry with a `url`."""

    def __init__(self, server: Server, post: Post, desktop: Desktop, look: LookDirect) -> None:
        super().__init__(server.name, post, desktop)
        self._state = DirectPage(server)
        self._look = look

    def link_up(self, link: Link, set_target: SetTarget) -> None:  # noqa: ARG002 - no SSH
        self._state = replace(self._state, is_linked=True)

        def look(cancel: CancelToken) -> bool:
            url = self._state.server.url
            assert url is not None
            health = self._look(url, cancel)
            self._post(lambda: None if cancel.is_set() else self._take_in(health))
            return health.level >= Level.READY

        self._begin(Looker(self._name, look))

    def link_down(self) -> None:
        super().link_down()
        self._state = replace(self._state, is_linked=False, health=None)

    def handle(self, order: Order) -> None:
        state = self._state
        match order:
            case Wanted(show) if not state.is_ready:
                self._state = replace(state, debt=state.debt.owe(show=show))
                self._look_now()
            case Wanted(show=True):
                self._state = replace(state, debt=replace(state.debt, force_open=True))
                self._look_now()
            case Unwanted():
                self._state = replace(state, health=None, debt=NO_DEBT)
            case LookAgain():
                self._look_now()
            case _:
                pass

    def update(self, server: Server) -> None:
        self._state = replace(self._state, server=server)
        self._look_now()

    def status(self) -> ServiceStatus:
        return direct_status(self._state)

    def _take_in(self, health: Health) -> None:
        state = replace(self._state, health=health, looks=self._state.looks + 1)
        opens = state.is_ready and state.debt.opens(state.server)
        self._state = replace(state, debt=NO_DEBT) if state.is_ready else state
        if opens:
            self._open(health.page)


def direct_status(state: DirectPage) -> ServiceStatus:
    """What others may know of it."""
    health = state.health
    known = ServiceStatus(
        words="looking for its page…",
        browser_pending=state.debt.browser_pending,
        looks=state.looks,
    )
    if health is None:
        return known
    return replace(
        known,
        level=health.level,
        page=health.page if state.is_ready else None,
        problem=health.problem,
        words=_state(health),
    )


def _state(health: Health) -> str:
    if health.level >= Level.READY:
        return "connected"
    if health.level is Level.REACHABLE:
        return "connected, no web page answers yet"
    return "looking for its page…" if health.problem is None else "its page does not answer"


class ForwardPages(LookingService):
    """See `protocol.Service`: what the pages of forwards do."""

    def __init__(self, server: Server, post: Post, desktop: Desktop, look: LookAtPages) -> None:
        super().__init__(server.name, post, desktop)
        self._server = server
        self._look = look
        self._pages: Mapping[str, PageState] = {}

    def link_up(self, link: Link, set_target: SetTarget) -> None:  # noqa: ARG002
        asked = [forward.name for forward in self._server.forwards if forward.has_page]
        if not asked:
            return

        def look(cancel: CancelToken) -> bool:
            seen = self._look(self._server, link, cancel)
            cancel.check()
            self._post(lambda: None if cancel.is_set() else self._take_in(seen))
            return all(seen.get(name) in ANSWERING for name in asked)

        self._begin(
            Looker(self._name, look, lambda silent: PAGES_SILENT if silent else PAGES_READY)
        )

    def link_down(self) -> None:
        super().link_down()
        self._pages = {}

    def handle(self, order: Order) -> None:
        """They are looked at by the clock alone."""

    def refused(self) -> None:
        """The entry's own port is not theirs."""

    def update(self, server: Server) -> None:
        self._server = server

    def status(self) -> ServiceStatus:
        return ServiceStatus(pages=self._pages)

    def _take_in(self, seen: Mapping[str, PageState]) -> None:
        self._pages = seen
