"""How to ask the user here: a window, a dialog program, the terminal, or not at all."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, Problem, ProblemError, Recovery, shortage
from trayconnect.core.fair_lock import FairLock
from trayconnect.core.questions import Answer, Prompter, Question, QuestionKind
from trayconnect.desktop import helper_process
from trayconnect.desktop.prompts.dialog_commands import Osascript, Zenity
from trayconnect.desktop.prompts.dialog_prompter import DialogPrompter
from trayconnect.desktop.prompts.process import NotShownError
from trayconnect.desktop.prompts.prompt_text import harmless, tidy
from trayconnect.desktop.prompts.terminal_prompter import TerminalPrompter, has_terminal
from trayconnect.desktop.prompts.window_prompter import WindowPrompter

logger = logging.getLogger(__name__)

DIALOGS = (Zenity.name, Osascript.name)


class QuestionBackend(Protocol):
    """One way to ask."""

    @property
    def name(self) -> str: ...

    def ask(self, question: Question, cancel: CancelToken) -> Answer | None:
        """Block until answered. None: declined. Raises `Cancelled` when `cancel` withdrew the
        question, `NotShownError` if the user cannot have seen it, and `ProblemError` for anything
        that goes wrong later."""
        ...

    def bring_to_front(self) -> None:
        """Show what is being asked again, where that can be done. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What there is to ask with, at this moment."""

    lives_in_terminal: bool
    """The app was started to stay in a terminal (`--no-tray`), so questions belong there."""
    terminal: bool
    tkinter: bool
    """It is installed, and there is a screen that it can use."""
    programs: frozenset[str]
    """The installed dialog programs that have a screen."""


def order(here: Surroundings) -> tuple[str, ...]:
    """The names of the ways to try, the best first."""
    terminal = (TerminalPrompter.name,) if here.terminal else ()
    window = (WindowPrompter.name,) if here.tkinter else ()
    dialogs = tuple(name for name in DIALOGS if name in here.programs)
    if here.lives_in_terminal:
        return (*terminal, *window, *dialogs)
    return (*window, *dialogs, *terminal)


def look_around(lives_in_terminal: bool) -> Surroundings:
    """What there is now: a display can come and go while the app runs."""
    installed = (
        {name for name in DIALOGS if shutil.which(name)} if helper_process.has_screen() else set()
    )
    return Surroundings(
        lives_in_terminal,
        has_terminal(),
        helper_process.has_display() and helper_process.has_tkinter(),
        frozenset(installed),
    )


class ChainPrompter:
    """`questions.Prompter`: one question at a time, by the first of the ways that can show it."""

    def __init__(self, ways: Callable[[], Sequence[QuestionBackend]]) -> None:
        self._ways = ways
        self._turns = FairLock()
        self._asking: QuestionBackend | None = None

    def bring_to_front(self) -> None:
        way = self._asking
        if way is not None:
            way.bring_to_front()

    def ask(self, question: Question, cancel: CancelToken) -> Answer | None:
        try:
            with self._turns.turn(cancel):
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
        for way in self._ways():
            self._asking = way
            try:
                return way.ask(question, cancel)
            except NotShownError as error:
                logger.warning("a question could not be shown by %s: %s", way.name, error)
                failures.append(f"{way.name}: {error}")
                short = error if shortage(error) else short
            finally:
                self._asking = None
        raise no_way(question, "; ".join(failures)) from short


def no_way(question: Question, detail: str) -> ProblemError:
    """Nothing could show the question."""
    shown = f"\n\n{question.message}" if question.kind is QuestionKind.HOST_KEY else ""
    programs = helper_process.window_programs()
    install = f" Install {programs} to be asked in a window." if programs else ""
    return ProblemError(
        Problem(
            f"{question.server}: there is no way to ask you",
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
    """Asks in the best way there is when the question comes.

    `interactive_terminal`: the app lives in a terminal (`--no-tray`), so questions belong there.
    `icon`: a PNG file for windows. `quiet`: keeps others from writing on the terminal while a
    question stands there.
    """

    def ways() -> list[QuestionBackend]:
        made: dict[str, QuestionBackend] = {
            WindowPrompter.name: WindowPrompter(icon),
            TerminalPrompter.name: TerminalPrompter(quiet=quiet),
            **{dialog.name: DialogPrompter(dialog) for dialog in (Zenity(), Osascript())},
        }
        return [made[name] for name in order(look_around(interactive_terminal))]

    return ChainPrompter(ways)
