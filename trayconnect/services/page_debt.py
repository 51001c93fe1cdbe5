"""Which page the browser still has to open. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from trayconnect.config.model import Server


@dataclass(frozen=True, slots=True)
class PageDebt:
    """What of the user's orders has not led to a page yet. The next page that answers settles
    it."""

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
