"""How an attempt tells the user what it waits for, and goes on meanwhile."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, ProblemError
from trayconnect.core.page import Browser, Page
from trayconnect.core.questions import Answer, ProgressDisplay, Prompter, Question
from trayconnect.sessions.events import Answered, Asked, ProgressChanged, Report

logger = logging.getLogger(__name__)

_JOIN_SECONDS = 5.0


class Telling(ProgressDisplay):
    """`questions.ProgressDisplay` of the attempt number `attempt`."""

    def __init__(
        self,
        attempt: int,
        cancel: CancelToken,
        prompter: Prompter,
        browser: Browser,
        report: Callable[[Report], None],
    ) -> None:
        self._attempt = attempt
        self._cancel = cancel
        self._prompter = prompter
        self._browser = browser
        self._report = report

    def say(self, text: str) -> None:
        self._report(ProgressChanged(self._attempt, text))

    def show(self, question: Question) -> Callable[[], None]:
        self._report(Asked(self._attempt, question))
        return _Shown(self, question).withdraw

    def ask(self, question: Question, over: CancelToken) -> Answer | None:
        """Raises `ProblemError` and `Cancelled`."""
        with self._cancel.releasing(over.set):
            return self._prompter.ask(question, over)

    def answered(self, answer: Answer | None) -> None:
        self._report(Answered(self._attempt, answer))

    def open(self, url: str) -> None:
        try:
            self._browser.open(Page(url))
        except ProblemError as error:
            logger.warning("%s", error.problem.logged)
            self.say(f"Open {url} in a browser: the login waits for it")


class _Shown:
    """One question on the screen, on a thread of its own."""

    def __init__(self, telling: Telling, question: Question) -> None:
        self._telling = telling
        self._question = question
        self._over = CancelToken()
        self._lock = threading.Lock()
        self._settled = False
        self._thread = threading.Thread(
            target=self._ask, name=f"tc-visit {question.server}", daemon=True
        )
        with contextlib.suppress(RuntimeError):  # no more threads: the menu says it too
            self._thread.start()

    def withdraw(self) -> None:
        """It is over, whether the user said something or not."""
        self._settle(Answer())
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join(_JOIN_SECONDS)

    def _ask(self) -> None:
        try:
            answer = self._telling.ask(self._question, self._over)
        except Cancelled:
            return
        except ProblemError as error:  # nothing can show it: the menu and the notice do
            logger.warning("%s: %s", error.problem, self._question.message)
            return
        if self._settle(answer) and answer is not None and self._question.url:
            self._telling.open(self._question.url)

    def _settle(self, answer: Answer | None) -> bool:
        """Report the first answer, and whether this was it."""
        with self._lock:
            first, self._settled = not self._settled, True
        if first:
            self._telling.answered(answer)
        return first
