"""Asking in a window of our own."""

from __future__ import annotations

from pathlib import Path

from trayconnect.cancel import Cancel
from trayconnect.desktop import helpers, prompt_wire
from trayconnect.desktop.prompt_process import ANSWER_LIMIT, cannot_ask, converse
from trayconnect.desktop.turns import Turns
from trayconnect.errors import Cancelled
from trayconnect.ports import Answer, Question


class WindowPrompter:
    """`ports.Prompter`: each question is a window in a process of its own; one at a time.

    `icon`: a PNG file for the window. `command`: the helper, for tests.
    """

    def __init__(
        self,
        icon: Path | None = None,
        command: list[str] | None = None,
        limit: float = ANSWER_LIMIT,
    ) -> None:
        self._icon = str(icon) if icon else ""
        self._command = command or helpers.helper_command(helpers.PROMPT)
        self._limit = limit
        self._turns = Turns()

    def ask(self, question: Question, cancel: Cancel) -> Answer | None:
        try:
            with self._turns.turn(cancel):
                return self._ask(question, cancel)
        except Cancelled:
            return None

    def _ask(self, question: Question, cancel: Cancel) -> Answer | None:
        result = converse(
            self._command,
            helpers.helper_environment(),
            prompt_wire.encode_question(question, self._icon),
            question,
            cancel,
            self._limit,
        )
        if result.status != 0:
            raise cannot_ask(question, f"status {result.status}: {result.complaint}")
        try:
            return prompt_wire.decode_answer(result.output, question)
        except ValueError as error:
            raise cannot_ask(question, str(error)) from error
