"""Chooses how to ask the user: in a window, a dialog program, the terminal, or not at all."""

from __future__ import annotations

import logging
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, Problem, ProblemError, Recovery, shortage
from trayconnect.core.questions import Answer, Prompter, Question, QuestionKind
from trayconnect.desktop import helper_process
from trayconnect.desktop.prompts.dialog_prompter import DialogPrompter, Osascript, Zenity
from trayconnect.desktop.prompts.process import NotShownError
from trayconnect.desktop.prompts.prompt_text import harmless, tidy
from trayconnect.desktop.prompts.terminal_prompter import TerminalPrompter, has_terminal
from trayconnect.desktop.prompts.window_prompter import WindowPrompter

logger = logging.getLogger(__name__)

DIALOGS = (Zenity.name, Osascript.name)


class QuestionBackend(Protocol):
    """One way to ask the user."""

    @property
    def name(self) -> str: ...

    def ask(self, question: Question, cancel: CancelToken) -> Answer | None:
        """Block until the answer. None: declined. Raises `Cancelled` when `cancel` withdrew the
        question, `NotShownError` if the user cannot have seen it, and `ProblemError` for a later
        failure."""
        ...

    def bring_to_front(self) -> None:
        """Show the open question again, where possible. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What can be used to ask at this moment."""

    lives_in_terminal: bool
    """The app was started to stay in a terminal (`--no-tray`), so questions go there."""
    terminal: bool
    tkinter: bool
    """tkinter is installed, and there is a display for it."""
    programs: frozenset[str]
    """The installed dialog programs with a display."""


def order(surroundings: Surroundings) -> tuple[str, ...]:
    """The names of the backends to try, the best first."""
    terminal = (TerminalPrompter.name,) if surroundings.terminal else ()
    window = (WindowPrompter.name,) if surroundings.tkinter else ()
    dialogs = tuple(name for name in DIALOGS if name in surroundings.programs)
    if surroundings.lives_in_terminal:
        return (*terminal, *window, *dialogs)
    return (*window, *dialogs, *terminal)


def find_surroundings(lives_in_terminal: bool) -> Surroundings:
    """What is available now: a display can appear and disappear while the app runs."""
    installed = (
        {name for name in DIALOGS if shutil.which(name)} if helper_process.has_screen() else set()
    )
    return Surroundings(
        lives_in_terminal,
        has_terminal(),
        helper_process.can_show_windows(),
        frozenset(installed),
    )


class FairLock:
    """A lock that serves its waiters in the order of arrival. They can be cancelled."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._queue: deque[object] = deque()

    @contextmanager
    def turn(self, cancel: CancelToken) -> Iterator[None]:
        """Wait for the lock, and hold it within the block. Raises `Cancelled` while waiting."""
        ticket = object()
        with self._condition:
            self._queue.append(ticket)
        try:
            with cancel.releasing(self._wake), self._condition:
                self._condition.wait_for(lambda: self._queue[0] is ticket or cancel.is_set())
            yield
        finally:
            with self._condition:
                self._queue.remove(ticket)
                self._condition.notify_all()

    def _wake(self) -> None:
        with self._condition:
            self._condition.notify_all()


class ChainPrompter:
    """`questions.Prompter`: one question at a time, by the first backend that can show it."""

    def __init__(self, backends: Callable[[], Sequence[QuestionBackend]]) -> None:
        self._backends = backends
        self._fair_lock = FairLock()
        self._asking: QuestionBackend | None = None

    def bring_to_front(self) -> None:
        backend = self._asking
        if backend is not None:
            backend.bring_to_front()

    def ask(self, question: Question, cancel: CancelToken) -> Answer | None:
        try:
            with self._fair_lock.turn(cancel):
                answer = self._ask(harmless(question), cancel)
        except Cancelled:
            return None
        if answer is None:
            return None
        values = zip(question.fields, answer.values, strict=True)
        return replace(answer, values=tuple(tidy(field, value) for field, value in values))

    def _ask(self, question: Question, cancel: CancelToken) -> Answer | None:
        failures = []
        short: NotShownError | None = None
        for backend in self._backends():
            self._asking = backend
            try:
                return backend.ask(question, cancel)
            except NotShownError as error:
                logger.warning("a question could not be shown by %s: %s", backend.name, error)
                failures.append(f"{backend.name}: {error}")
                short = error if shortage(error) else short
            finally:
                self._asking = None
        raise not_askable(question, "; ".join(failures)) from short


def not_askable(question: Question, detail: str) -> ProblemError:
    """No backend could show the question."""
    shown = f"\n\n{question.message}" if question.kind is QuestionKind.HOST_KEY else ""
    programs = helper_process.window_programs()
    install = f" Install {programs} to be asked in a window." if programs else ""
    return ProblemError(
        Problem(
            f"{question.server}: trayconnect cannot ask you",
            f"{question.title.rstrip('.?')}: to be asked, run `trayconnect run --no-tray` in a "
            "terminal; or log in with a key or an agent, so that nothing needs to be asked."
            f"{install}{shown}",
            Recovery.USER_ACTION,
            detail=detail,
        )
    )


def prompter(
    interactive_terminal: bool,
    icon: Path | None = None,
    quiet: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Prompter:
    """Asks with the best backend that is available at the time of the question.

    `interactive_terminal`: the app lives in a terminal (`--no-tray`), so questions go there.
    `icon`: a PNG file for windows. `quiet`: keeps others from writing on the terminal during a
    question."""

    def backends() -> list[QuestionBackend]:
        made: dict[str, QuestionBackend] = {
            WindowPrompter.name: WindowPrompter(icon),
            TerminalPrompter.name: TerminalPrompter(quiet=quiet),
            **{dialog.name: DialogPrompter(dialog) for dialog in (Zenity(), Osascript())},
        }
        return [made[name] for name in order(find_surroundings(interactive_terminal))]

    return ChainPrompter(backends)
