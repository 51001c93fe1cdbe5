"""Asking in a window of our own."""

from __future__ import annotations

from pathlib import Path

from trayconnect.cancel import Cancel
from trayconnect.desktop import helpers, prompt_wire
from trayconnect.desktop.lifeline import Lifeline
from trayconnect.desktop.prompt_guard import GUARD
from trayconnect.desktop.prompt_process import ANSWER_LIMIT, NotShownError, broke, converse
from trayconnect.ports import Answer, Question

SHOW_LIMIT = 20.0
"""Seconds that the window may take to appear; a display can hang as well as be gone."""


class WindowWay:
    """`prompt.Way`: each question is a window in a process of its own.

    `icon`: a PNG file for the window. `guard`: see `prompt_guard`. `command`: the helper, for
    tests.
    """

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
        self._command = command or helpers.helper_command(helpers.PROMPT)
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

    def ask(self, question: Question, cancel: Cancel) -> Answer | None:
        result = converse(
            self._command,
            helpers.helper_environment(),
            prompt_wire.encode_question(question, self._icon, self._guard),
            question,
            cancel,
            self._limit,
            self._show_limit,
            self._note,
        )
        said = result.output.removeprefix(prompt_wire.SHOWN)
        if len(said) == len(result.output):
            raise NotShownError(f"status {result.status}: {result.complaint}")
        if result.status != 0:
            raise broke(question, f"status {result.status}: {result.complaint}")
        try:
            return prompt_wire.decode_answer(said, question)
        except ValueError as error:
            raise broke(question, str(error)) from error
