"""Asking through a dialog program of the desktop, where tkinter is missing.

zenity(1) and kdialog exit with 0 for yes, OK and a text, and with 1 for no, Cancel and a closed
window; osascript(1) exits with 1 when the user cancels. None can offer a box beside an entry, so
nothing is kept in the keyring through these.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from html import escape

from trayconnect.cancel import Cancel
from trayconnect.desktop import programs
from trayconnect.desktop.prompt_process import ANSWER_LIMIT, Result, cannot_ask, converse
from trayconnect.desktop.turns import Turns
from trayconnect.errors import Cancelled
from trayconnect.ports import Answer, Field, Question

Command = Callable[[Question, Field | None], list[str]]
"""The command line that asks for one field, or for yes or no. It holds no secret."""


def zenity(question: Question, field: Field | None) -> list[str]:
    text = _text(question, field)
    common = ["zenity", f"--title=trayconnect: {question.server}", f"--ok-label={question.confirm}"]
    if field is None:  # --no-markup exists for questions only
        return [*common, "--question", "--no-markup", "--default-cancel", f"--text={text}"]
    hidden = ["--hide-text"] if field.secret else []
    return [*common, "--entry", f"--text={escape(text, quote=False)}", *hidden]


def kdialog(question: Question, field: Field | None) -> list[str]:
    text = _text(question, field)
    common = ["kdialog", "--title", f"trayconnect: {question.server}"]
    if field is None:
        # Its default button is No in a warning only.
        labels = ["--yes-label", question.confirm, "--no-label", "Cancel"]
        return [*common, *labels, "--warningyesno", text]
    return [*common, "--password" if field.secret else "--inputbox", text]


_ASK = """on run argv
  set {heading, body, confirm} to {item 1 of argv, item 2 of argv, item 3 of argv}
  %s
end run"""
_ASK_FIELD = """set reply to display dialog body with title heading default answer "" \
buttons {"Cancel", confirm} default button 2 cancel button 1%s
  return text returned of reply"""
_ASK_YES = """display dialog body with title heading buttons {"Cancel", confirm} \
default button 1 cancel button 1 with icon caution"""


def osascript(question: Question, field: Field | None) -> list[str]:
    if field is None:
        script = _ASK % _ASK_YES
    else:
        script = _ASK % (_ASK_FIELD % (" with hidden answer" if field.secret else ""))
    heading = f"trayconnect: {question.server}"
    return ["osascript", "-e", script, "--", heading, _text(question, field), question.confirm]


def installed_dialog(which: Callable[[str], str | None] = shutil.which) -> Command | None:
    """The dialog program of this system, or None."""
    choices: dict[str, Command] = {"zenity": zenity, "kdialog": kdialog, "osascript": osascript}
    return next((command for name, command in choices.items() if which(name)), None)


class DialogPrompter:
    """`ports.Prompter`: a dialog for each field, one at a time."""

    def __init__(self, command: Command, limit: float = ANSWER_LIMIT) -> None:
        self._command = command
        self._limit = limit
        self._turns = Turns()

    def ask(self, question: Question, cancel: Cancel) -> Answer | None:
        try:
            with self._turns.turn(cancel):
                if not question.fields:
                    return None if self._run(question, None, cancel) is None else Answer()
                values = []
                for field in question.fields:
                    value = self._run(question, field, cancel)
                    if value is None:
                        return None
                    values.append(value)
                return Answer(tuple(values))
        except Cancelled:
            return None

    def _run(self, question: Question, field: Field | None, cancel: Cancel) -> str | None:
        argv = self._command(question, field)
        environment = programs.clean_environment()
        result = converse(argv, environment, b"", question, cancel, self._limit)
        if result.status == 0:
            return result.output.decode(errors="replace").removesuffix("\n")
        if result.status == 1 and not _failed_to_show(result):
            return None
        raise cannot_ask(question, f"{argv[0]} ended with status {result.status}")


def _failed_to_show(result: Result) -> bool:
    """GTK exits with 1 also when it cannot open the display."""
    return "cannot open display" in result.complaint.lower()


def _text(question: Question, field: Field | None) -> str:
    parts = [question.title, question.message]
    if field is not None and field.label not in question.title:
        parts.append(f"{field.label}:")
    return "\n\n".join(part for part in parts if part)
