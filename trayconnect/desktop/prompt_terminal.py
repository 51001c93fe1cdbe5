"""Asking on the terminal that the app was started from."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Protocol

from trayconnect.cancel import Cancel
from trayconnect.desktop.prompt_process import ANSWER_LIMIT, unanswered
from trayconnect.desktop.turns import Turns
from trayconnect.errors import Cancelled, Problem, ProblemError, Remedy
from trayconnect.ports import Answer, Question, QuestionKind


class Terminal(Protocol):
    """An open terminal. Every method raises OSError when it is gone."""

    def write(self, text: str) -> None: ...

    def read_line(self, *, echo: bool, cancel: Cancel, limit: float) -> str | None:
        """One line without its end; None when the user ends the input.

        What was typed before is dropped. Raises `Cancelled`, and TimeoutError after `limit`
        seconds."""
        ...

    def close(self) -> None: ...


def open_terminal() -> Terminal:
    """The controlling terminal, wherever stdin and stdout go. Raises OSError."""
    if sys.platform == "win32":
        from trayconnect.desktop.terminal_windows import WindowsTerminal

        return WindowsTerminal()
    else:  # noqa: RET505 - mypy calls code after a platform's return unreachable
        from trayconnect.desktop.terminal_posix import PosixTerminal

        return PosixTerminal()


def has_terminal() -> bool:
    """Whether there is one to ask on."""
    try:
        open_terminal().close()
    except OSError:
        return False
    return True


class TerminalPrompter:
    """`ports.Prompter`: one question at a time."""

    def __init__(
        self, open_terminal: Callable[[], Terminal] = open_terminal, limit: float = ANSWER_LIMIT
    ) -> None:
        self._open = open_terminal
        self._limit = limit
        self._turns = Turns()

    def ask(self, question: Question, cancel: Cancel) -> Answer | None:
        try:
            with self._turns.turn(cancel):
                terminal = self._open()
                try:
                    return self._ask(terminal, question, cancel)
                finally:
                    terminal.close()
        except Cancelled:
            return None
        except TimeoutError as error:
            raise unanswered(question) from error
        except OSError as error:
            raise ProblemError(
                Problem(
                    f"{question.server}: the terminal cannot be used to ask",
                    "Run trayconnect in the foreground of a terminal, or log in with a key or "
                    "an agent, so that nothing needs to be asked.",
                    Remedy.USER,
                    detail=repr(error),
                )
            ) from error

    def _ask(self, terminal: Terminal, question: Question, cancel: Cancel) -> Answer | None:
        def read(prompt: str, *, echo: bool = True) -> str | None:
            terminal.write(prompt)
            try:
                return terminal.read_line(echo=echo, cancel=cancel, limit=self._limit)
            except Cancelled:
                terminal.write("\nThe question was withdrawn.\n")
                raise

        terminal.write("\n" + printable(f"[{question.server}] {question.title}") + "\n")
        if question.message:
            terminal.write(printable(question.message) + "\n")
        if not question.fields:
            return self._confirm(question, read)
        values = []
        for field in question.fields:
            value = read(f"{printable(field.label)}: ", echo=not field.secret)
            if value is None:
                return None
            values.append(value)
        remember = question.can_remember and is_yes(read("Remember in the keyring? [y/N] "))
        return Answer(tuple(values), remember)

    def _confirm(self, question: Question, read: Callable[[str], str | None]) -> Answer | None:
        if question.kind is QuestionKind.HOST_KEY:
            said = read(f'Type "yes" in full to {lower_first(question.confirm)} [no]: ')
            # Anything else might have been meant for "yes", so it is asked for, as ssh does.
            while said is not None and said.strip().lower() not in ("yes", "no", "n", ""):
                said = read('Please type "yes" or "no" [no]: ')
            return Answer() if said is not None and said.strip().lower() == "yes" else None
        return Answer() if is_yes(read(f"{printable(question.confirm)}? [y/N] ")) else None


def is_yes(said: str | None) -> bool:
    return said is not None and said.strip().lower() in ("y", "yes")


def lower_first(text: str) -> str:
    """A button's word within a sentence; an acronym such as OK stays."""
    clean = printable(text)
    return clean if clean.isupper() else clean[:1].lower() + clean[1:]


def printable(text: str) -> str:
    """Without control characters: parts of it come from servers, and a terminal obeys."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
