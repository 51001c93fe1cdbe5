"""Asks through a dialog program of the desktop, where our own window cannot be shown."""

from __future__ import annotations

import time
from collections.abc import Sequence

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.questions import Answer, Field, Question
from trayconnect.desktop import programs
from trayconnect.desktop.prompts.dialog_commands import DialogProgram
from trayconnect.desktop.prompts.process import (
    ANSWER_LIMIT,
    HelperResult,
    NotShownError,
    broke,
    converse,
)
from trayconnect.desktop.prompts.prompt_text import is_complete

_UNTIL_STDIN_ENDS = """exec 3<&0
"$@" </dev/null 3<&- & dialog=$!
(read -r _ <&3; kill -9 "$dialog") >/dev/null 2>&1 & watcher=$!
wait "$dialog"; status=$?
kill "$watcher" 2>/dev/null; exit "$status"
"""
"""A shell around a program that does not read its stdin: the dialog ends when stdin ends, as it
does when the app ends."""
EARLY = 2.0
"""Seconds within which a failing program has shown nothing: an unknown option, a missing library,
an unreachable display."""


class DialogPrompter:
    """`prompter.QuestionBackend`: one dialog or more. No dialog program has a check box beside an
    entry, so a separate question asks whether to keep the answer in the keyring."""

    def __init__(
        self, program: DialogProgram, limit: float = ANSWER_LIMIT, early: float = EARLY
    ) -> None:
        self.name = program.name
        self._program = program
        self._limit = limit
        self._early = early

    def bring_to_front(self) -> None:
        pass  # the program has no option for it

    def ask(self, question: Question, cancel: CancelToken) -> Answer | None:
        if not question.fields:
            output = self._run(self._program.confirm(question), question, cancel)
            return None if output is None else Answer()
        groups = self._program.together(question.fields)
        values: tuple[str, ...] = ()
        for number, fields in enumerate(groups, 1):
            place = f"{number} of {len(groups)}" if len(groups) > 1 else ""
            try:
                entered = self._enter(question, fields, place, cancel)
            except NotShownError as error:
                if number > 1:
                    raise broke(question, str(error)) from error
                raise
            if entered is None:
                return None
            values += entered
        return Answer(values, question.can_remember and self._remember(question, cancel))

    def _enter(
        self, question: Question, fields: Sequence[Field], place: str, cancel: CancelToken
    ) -> tuple[str, ...] | None:
        """Ask until every field is filled."""
        argv = self._program.enter(question, fields, place)
        while True:
            output = self._run(argv, question, cancel)
            if output is None:
                return None
            values = self._program.values(output, fields)
            if len(values) != len(fields):
                raise broke(question, f"{self.name} printed {len(values)} values")
            if is_complete(question, fields, values):
                return values

    def _remember(self, question: Question, cancel: CancelToken) -> bool:
        try:
            return self._run(self._program.remember(question), question, cancel) is not None
        except NotShownError:
            return False

    def _run(self, argv: list[str], question: Question, cancel: CancelToken) -> str | None:
        began = time.monotonic()
        environment = programs.text_environment()
        command = ["/bin/sh", "-c", _UNTIL_STDIN_ENDS, "trayconnect", *argv]
        result = converse(command, environment, None, question, cancel, self._limit)
        if result.status == 0:
            return result.output.decode(errors="replace").removesuffix("\n")
        if self._program.declined(result.status, result.complaint):
            return None
        if time.monotonic() - began < self._early:
            raise NotShownError(_ending(result))
        raise broke(question, f"{self.name}: {_ending(result)}")


def _ending(result: HelperResult) -> str:
    return f"status {result.status}: {result.complaint}"
