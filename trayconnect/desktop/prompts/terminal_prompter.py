"""Asks on the terminal from which the app was started."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Protocol

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, Problem, ProblemError, Recovery, shortage
from trayconnect.core.questions import Answer, Field, Question, QuestionKind
from trayconnect.desktop.prompts.process import ANSWER_LIMIT, NotShownError, unanswered
from trayconnect.desktop.prompts.prompt_text import as_prompt, is_complete, is_last_line_of_key


class Terminal(Protocol):
    """An open terminal. Every method raises OSError after the terminal has closed."""

    def write(self, text: str) -> None: ...

    def read_lines(
        self, is_last: Callable[[str], bool], *, echo: bool, cancel: CancelToken, limit: float
    ) -> list[str] | None:
        """Lines without their ends, up to the last one, or until the user ends the input; None if
        that happens at once.

        Input before and after these lines is dropped. Raises `Cancelled`, and TimeoutError after
        `limit` seconds."""
        ...

    def close(self) -> None: ...


def open_terminal() -> Terminal:
    """The controlling terminal, even if stdin and stdout are redirected. Raises OSError."""
    if sys.platform == "win32":
        from trayconnect.desktop.prompts.terminals import WindowsTerminal

        return WindowsTerminal()
    else:  # noqa: RET505 - mypy calls code after a platform's return unreachable
        from trayconnect.desktop.prompts.terminals import PosixTerminal

        return PosixTerminal()


def has_terminal() -> bool:
    """Whether there is a terminal to ask on."""
    try:
        open_terminal().close()
    except OSError as error:
        return shortage(error) is not None
    return True


class TerminalPrompter:
    """`prompter.QuestionBackend`. `quiet`: keeps others from writing on the terminal during a
    question."""

    name = "terminal"

    def __init__(
        self,
        open_terminal: Callable[[], Terminal] = open_terminal,
        limit: float = ANSWER_LIMIT,
        quiet: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._open = open_terminal
        self._limit = limit
        self._quiet = quiet

    def bring_to_front(self) -> None:
        pass  # the terminal needs no raising

    def ask(self, question: Question, cancel: CancelToken) -> Answer | None:
        try:
            terminal = self._open()
        except OSError as error:
            raise NotShownError(repr(error)) from error
        with self._quiet(), closing(terminal):
            try:
                return _Dialogue(terminal, question, cancel, self._limit).run()
            except TimeoutError as error:
                raise unanswered(question, self._limit) from error
            except OSError as error:
                raise _broke(question, error) from error


class _Dialogue:
    """One question on one terminal."""

    def __init__(
        self, terminal: Terminal, question: Question, cancel: CancelToken, limit: float
    ) -> None:
        self._terminal = terminal
        self._question = question
        self._cancel = cancel
        self._limit = limit

    def run(self) -> Answer | None:
        question = self._question
        self._terminal.write(f"\n[{question.server}] {question.title}\n")
        if question.message:
            self._terminal.write(f"{question.message}\n")
        if not question.fields:
            return self._confirm()
        values = []
        for field in question.fields:
            value = self._enter(field)
            if value is None:
                return None
            values.append(value)
        remember = question.can_remember and is_yes(self._read("Remember in the keyring? [y/N] "))
        return Answer(tuple(values), remember)

    def _enter(self, field: Field) -> str | None:
        while True:
            value = self._read_text(field) if field.multiline else self._read_field(field)
            if value is None or is_complete(self._question, [field], [value]):
                return value

    def _read_field(self, field: Field) -> str | None:
        return self._read(f"{as_prompt(field.label)} ", echo=not field.secret)

    def _read_text(self, field: Field) -> str | None:
        hint = "paste it; it does not show" if field.secret else "paste it"
        prompt = f"{field.label} ({hint}, {_end_of_input()} ends it):\n"
        lines = self._read_lines(prompt, is_last_line_of_key, echo=not field.secret)
        return None if lines is None else "\n".join(lines)

    def _confirm(self) -> Answer | None:
        question = self._question
        if question.kind is QuestionKind.HOST_KEY:
            reply = self._read(f'Type "yes" in full to {lower_first(question.confirm)} [no]: ')
            # Anything else might have been meant as "yes", so ask again, as ssh does.
            while reply is not None and reply.strip().lower() not in ("yes", "no", "n", ""):
                reply = self._read('Please type "yes" or "no" [no]: ')
            return Answer() if reply is not None and reply.strip().lower() == "yes" else None
        return Answer() if is_yes(self._read(f"{question.confirm}? [y/N] ")) else None

    def _read(self, prompt: str, *, echo: bool = True) -> str | None:
        lines = self._read_lines(prompt, lambda _: True, echo=echo)
        return None if lines is None else "".join(lines)

    def _read_lines(
        self, prompt: str, is_last: Callable[[str], bool], *, echo: bool
    ) -> list[str] | None:
        self._terminal.write(prompt)
        try:
            return self._terminal.read_lines(
                is_last, echo=echo, cancel=self._cancel, limit=self._limit
            )
        except Cancelled:
            self._terminal.write("\nThe question was withdrawn.\n")
            raise
        except TimeoutError:
            self._terminal.write("\nNobody answered: the question was withdrawn.\n")
            raise


def _broke(question: Question, error: OSError) -> ProblemError:
    return ProblemError(
        Problem(
            f"{question.server}: the terminal cannot be used to ask",
            "Run trayconnect in the foreground of a terminal, or log in with a key or "
            "an agent, so that nothing needs to be asked.",
            Recovery.USER_ACTION,
            detail=repr(error),
        )
    )


def is_yes(reply: str | None) -> bool:
    return reply is not None and reply.strip().lower() in ("y", "yes")


def lower_first(text: str) -> str:
    """A button's label within a sentence; an acronym such as OK stays."""
    return text if text.isupper() else text[:1].lower() + text[1:]


def _end_of_input() -> str:
    return "Control-Z" if sys.platform == "win32" else "Control-D"
