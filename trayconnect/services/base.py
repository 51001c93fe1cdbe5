"""What services have in common that look, over and over, whether a page answers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from trayconnect.core.errors import ProblemError, unforeseen
from trayconnect.core.notices import Notice, Urgency, open_page
from trayconnect.core.page import Page
from trayconnect.services.looker import JOIN_LIMIT, Looker
from trayconnect.services.protocol import Desktop, Post

logger = logging.getLogger(__name__)

Join = Callable[[float], bool]
"""Waits so many seconds for a thread to end; false if it has not."""


class LookingService:
    """A part of a `protocol.Service`: its threads."""

    def __init__(self, name: str, post: Post, desktop: Desktop) -> None:
        self._name = name
        self._post = post
        self._desktop = desktop
        self._looker: Looker | None = None
        """While there is a link."""
        self._joins: list[Join] = []

    def link_down(self) -> None:
        """Release what blocks; the threads end soon."""
        if self._looker is not None:
            self._looker.close()
        self._looker = None

    def refused(self) -> None:
        """See `protocol.Service`."""
        looker = self._looker
        if looker is not None:
            looker.refused()

    def close(self) -> bool:
        """See `protocol.Service`."""
        joins, self._joins = self._joins, []
        ended = [join(JOIN_LIMIT) for join in joins]
        return all(ended)

    def _begin(self, looker: Looker) -> None:
        self._looker = looker
        self._note(looker.join)

    def _look_now(self) -> None:
        if self._looker is not None:
            self._looker.now()

    def _spawn(self, what: str, job: Callable[[], None]) -> None:
        """Do it on a thread of its own. Raises RuntimeError when none is to be had."""
        thread = threading.Thread(target=job, name=f"tc-{what} {self._name}", daemon=True)
        thread.start()

        def join(timeout: float) -> bool:
            thread.join(timeout)
            return not thread.is_alive()

        self._note(join)

    def _note(self, join: Join) -> None:
        self._joins = [*(other for other in self._joins if not other(0.0)), join]

    def _open(self, page: Page) -> None:
        """Open it in the browser, or tell the user why not."""
        try:
            self._spawn("open", lambda: self._open_here(page))
        except RuntimeError as error:
            logger.warning("%s: %s", self._name, unforeseen(error).logged)

    def _open_here(self, page: Page) -> None:
        try:
            self._desktop.browser.open(page)
        except ProblemError as error:
            problem = error.problem
            logger.warning("%s: %s", self._name, problem.logged)
            self._desktop.notifier.notify(
                Notice(
                    tag=f"page {self._name}",
                    title=f"The page of {self._name} could not be opened",
                    body=f"{problem.title}\n{problem.advice}",
                    urgency=Urgency.CRITICAL,
                    asked=True,
                    buttons=(open_page(self._name),),
                )
            )
        except Exception:
            logger.exception("%s: opening its page failed unforeseen", self._name)
