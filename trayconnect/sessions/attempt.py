"""One attempt to connect: its questions to the user, its progress, and its link."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable

from trayconnect.config.forward_model import Forward
from trayconnect.config.forward_syntax import Kind
from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, Problem, ProblemError
from trayconnect.core.link import Link
from trayconnect.core.page import Page
from trayconnect.core.questions import Answer, ProgressDisplay, Question, QuestionKind
from trayconnect.sessions.dependencies import Dependencies
from trayconnect.sessions.state import Answered, Asked, Report

logger = logging.getLogger(__name__)

JOIN_LIMIT = 5.0
"""Seconds to wait for the thread of a question that was closed."""


class Attempt(ProgressDisplay):
    """`on_change` is called, from any thread, when something changed that is only shown."""

    def __init__(
        self,
        number: int,
        server: Server,
        dependencies: Dependencies,
        report: Callable[[Report], None],
        on_change: Callable[[], None],
    ) -> None:
        self.number = number
        self.server = server
        self.cancel = CancelToken()
        self.link: Link | None = None
        self.progress = ""
        """What it waits for, in a line."""
        self.answers: dict[str, int | Problem] = {}
        """The server's answers to the remote forwards, by their names: see `LinkInfo`."""
        self.requested_again = 0
        """How often the refused remote forwards were requested again."""
        self.next_request = 0.0
        """When to request them again. On the monotonic clock."""
        self._dependencies = dependencies
        self._report = report
        self._on_change = on_change

    def refused(self, added: tuple[Forward, ...]) -> list[Forward]:
        """The remote forwards of the entry, and of those that were `added`, that the server
        refused."""
        return [
            forward
            for forward in (*self.server.forwards, *added)
            if forward.kind is Kind.REMOTE and isinstance(self.answers.get(forward.name), Problem)
        ]

    def answered(self, name: str, answer: int | Problem) -> None:
        """The server answered to the remote forward of that name."""
        self.answers[name] = answer
        self._on_change()

    def ask(self, question: Question) -> Answer:
        """See `questions.Ask`."""
        self.ask_begins(question)
        answer = self._dependencies.prompter.ask(question, self.cancel)
        self.cancel.check()
        self.ask_ends(question, answer)
        if answer is None:
            raise Cancelled
        return answer

    def say(self, text: str) -> None:
        self.progress = text
        self._on_change()

    def show(self, question: Question) -> Callable[[], None]:
        self.ask_begins(question)
        return _Shown(self, question, self._dependencies).withdraw

    def ask_begins(self, question: Question) -> None:
        self._report(Asked(self.number, question))

    def ask_ends(self, question: Question, answer: Answer | None) -> None:
        # The login goes on waiting for what the user has to do elsewhere.
        self.progress = question.title if question.kind is QuestionKind.VISIT else ""
        self._report(Answered(self.number, answer))


class _Shown:
    """An open question on another thread, while the attempt goes on."""

    def __init__(self, attempt: Attempt, question: Question, dependencies: Dependencies) -> None:
        self._attempt = attempt
        self._question = question
        self._dependencies = dependencies
        self._over = CancelToken()
        self._lock = threading.Lock()
        self._has_ended = False
        self._thread = threading.Thread(
            target=self._ask, name=f"tc-visit {question.server}", daemon=True
        )
        with contextlib.suppress(RuntimeError):  # no more threads: the menu shows it too
            self._thread.start()

    def withdraw(self) -> None:
        """Close it, whether the user answered or not."""
        self._end(Answer())
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join(JOIN_LIMIT)

    def _ask(self) -> None:
        try:
            with self._attempt.cancel.releasing(self._over.set):
                answer = self._dependencies.prompter.ask(self._question, self._over)
        except Cancelled:
            return
        except ProblemError as error:  # the menu and a notice show it
            logger.warning("%s: %s", error.problem, self._question.message)
            return
        if self._end(answer) and answer is not None and self._question.url:
            self._open(self._question.url)

    def _open(self, url: str) -> None:
        try:
            self._dependencies.browser.open(Page(url))
        except ProblemError as error:
            logger.warning("%s", error.problem.logged)
            self._attempt.say(f"Open {url} in a browser: the login waits for it")

    def _end(self, answer: Answer | None) -> bool:
        """Report the first answer, and return whether this was the first."""
        with self._lock:
            is_first, self._has_ended = not self._has_ended, True
        if is_first:
            self._attempt.ask_ends(self._question, answer)
        return is_first
