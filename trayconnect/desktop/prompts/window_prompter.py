"""Asks in a window of our own."""

from __future__ import annotations

from pathlib import Path

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.questions import Answer, Question
from trayconnect.desktop import helper_process
from trayconnect.desktop.lifeline import Lifeline
from trayconnect.desktop.prompts import prompt_wire
from trayconnect.desktop.prompts.guard import GUARD
from trayconnect.desktop.prompts.process import ANSWER_LIMIT, NotShownError, broke, converse

SHOW_LIMIT = 20.0
"""Seconds for the window to appear; a display can hang as well as be unreachable."""


class WindowPrompter:
    """`prompter.QuestionBackend`: each question is a window in a process of its own.

    `icon`: a PNG file for the window. `guard`: see `guard`. `command`: the helper, for tests."""

    name = "tkinter"

    def __init__(
        self,
        icon: Path | None = None,
        command: list[str] | None = None,
        limit: float = ANSWER_LIMIT,
        guard: float = GUARD,
        show_limit: float = SHOW_LIMIT,
    ) -> None:
        self._icon = str(icon) if icon else ""
        self._command = command or helper_process.helper_command(helper_process.PROMPT)
        self._limit = limit
        self._guard = guard
        self._show_limit = show_limit
        self._line: Lifeline | None = None

    def bring_to_front(self) -> None:
        line = self._line
        if line is not None:
            line.call_forward()

    def _note(self, line: Lifeline) -> None:
        self._line = line

    def ask(self, question: Question, cancel: CancelToken) -> Answer | None:
        result = converse(
            self._command,
            helper_process.helper_environment(),
            prompt_wire.encode_question(question, self._icon, self._guard),
            question,
            cancel,
            self._limit,
            self._show_limit,
            self._note,
        )
        output = result.output.removeprefix(prompt_wire.SHOWN)
        if len(output) == len(result.output):
            raise NotShownError(f"status {result.status}: {result.complaint}")
        if result.status != 0:
            raise broke(question, f"status {result.status}: {result.complaint}")
        try:
            return prompt_wire.decode_answer(output, question)
        except ValueError as error:
            raise broke(question, str(error)) from error
