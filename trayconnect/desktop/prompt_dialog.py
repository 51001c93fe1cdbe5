"""Asking through a dialog program of the desktop, where our own window cannot be shown."""

from __future__ import annotations

import time
from collections.abc import Sequence

from trayconnect.cancel import Cancel
from trayconnect.desktop import programs
from trayconnect.desktop.dialog_commands import DialogProgram
from trayconnect.desktop.prompt_process import (
    ANSWER_LIMIT,
    NotShownError,
    Result,
    broke,
    converse,
)
from trayconnect.desktop.prompt_text import is_complete
from trayconnect.ports import Answer, Field, Question

_UNTIL_STDIN_ENDS = """exec 3<&0
"$@" </dev/null 3<&- & dialog=$!
(read -r _ <&3; kill -9 "$dialog") >/dev/null 2>&1 & watcher=$!
wait "$dialog"; status=$?
kill "$watcher" 2>/dev/null; exit "$status"
"""
"""A shell that kills the dialog when stdin ends, as it does when we end: the program itself watches
no pipe."""
EARLY = 2.0
"""Seconds within which a program that breaks has shown nothing: an unknown option, a missing
library, a dead display."""


class DialogWay:
    """`prompt.Way`: one dialog or more. None has room for a box beside an entry, so whether to
    keep the answer in the keyring is asked apart."""

    def __init__(
        self, program: DialogProgram, limit: float = ANSWER_LIMIT, early: float = EARLY
    ) -> None:
        self.name = program.name
        self._program = program
        self._limit = limit
        self._early = early

    def bring_to_front(self) -> None:
        pass  # the program offers no way to say it

    def ask(self, question: Question, cancel: Cancel) -> Answer | None:
        if not question.fields:
            said = self._run(self._program.confirm(question), question, cancel)
            return Answer() if said is not None and self._program.agreed(said) else None
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
        self, question: Question, fields: Sequence[Field], place: str, cancel: Cancel
    ) -> tuple[str, ...] | None:
        """Ask until it is complete."""
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

    def _remember(self, question: Question, cancel: Cancel) -> bool:
        try:
            return self._run(self._program.remember(question), question, cancel) is not None
        except NotShownError:
            return False

    def _run(self, argv: list[str], question: Question, cancel: Cancel) -> str | None:
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


def _ending(result: Result) -> str:
    return f"status {result.status}: {result.complaint}"
