"""Asks through a dialog program of the desktop, where our own window cannot be shown.

No command line contains a secret. Each program interprets its texts in its own way (markup,
mnemonics, escapes), as observed in zenity 3.44. All of that is disabled or escaped, because parts
of the texts come from servers."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Sequence
from html import escape
from typing import Protocol

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.questions import Answer, Field, Question
from trayconnect.desktop import programs
from trayconnect.desktop.prompts.process import (
    ANSWER_LIMIT,
    HelperResult,
    NotShownError,
    broke,
    converse,
)
from trayconnect.desktop.prompts.prompt_text import as_prompt, clip, is_complete, window_title

_SEPARATOR = "\x1f"
"""Separates the values of a form: ASCII's unit separator, which no key types."""
_WIDTH = 72
_LINES = 20
_LABEL_WIDTH = 50
_REMEMBER = "Remember this in the keyring?"
_WARNING = "Others can read it: this field does not hide what you type."


class DialogProgram(Protocol):
    """A program that shows one dialog, prints the input, and exits with 0 for yes and OK."""

    @property
    def name(self) -> str: ...

    def confirm(self, question: Question) -> list[str]:
        """Command line for a yes-or-no question; the default is no."""
        ...

    def enter(self, question: Question, fields: Sequence[Field], place: str) -> list[str]:
        """Command line for an input. `place`: such as "1 of 2", if there are several dialogs."""
        ...

    def remember(self, question: Question) -> list[str]:
        """Command line for the question whether to store the answer."""
        ...

    def together(self, fields: tuple[Field, ...]) -> list[tuple[Field, ...]]:
        """The fields, grouped by dialog."""
        ...

    def values(self, output: str, fields: Sequence[Field]) -> tuple[str, ...]:
        """The values in the program's output."""
        ...

    def declined(self, status: int, complaint: str) -> bool:
        """Whether it exited because the user declined."""
        ...


class Zenity:
    """zenity(1): 1 is no, Cancel and a closed window. It unescapes backslashes everywhere except in
    questions, and interprets markup in forms, and mnemonics in entries."""

    name = "zenity"

    def confirm(self, question: Question) -> list[str]:
        return self._question(question, _text(question), question.confirm, "Cancel")

    def remember(self, question: Question) -> list[str]:
        return self._question(question, _REMEMBER, "Remember", "Do not remember")

    def enter(self, question: Question, fields: Sequence[Field], place: str) -> list[str]:
        common = [*self._common(question), f"--ok-label={question.confirm}"]
        if len(fields) > 1:
            text = escape(_text(question), quote=False).replace("\\", "\\\\")
            form = [*common, "--forms", f"--text={text}", f"--separator={_SEPARATOR}"]
            return [*form, *(self._form_field(field) for field in fields)]
        (field,) = fields
        if field.multiline:  # it shows none of our texts except the title
            return [*common[:1], f"--title={question.server}: {field.label}", *common[2:],
                    "--text-info", "--editable", "--width=640", "--height=400"]  # fmt: skip
        text = _text(question, field, place).replace("\\", "\\\\").replace("_", "__")
        hidden = ["--hide-text"] if field.secret else []
        return [*common, "--entry", f"--text={text}", *hidden]

    def together(self, fields: tuple[Field, ...]) -> list[tuple[Field, ...]]:
        if any(field.multiline for field in fields):
            return _apart(fields)
        return [fields]

    def values(self, output: str, fields: Sequence[Field]) -> tuple[str, ...]:
        return tuple(output.split(_SEPARATOR)) if len(fields) > 1 else (output,)

    def declined(self, status: int, complaint: str) -> bool:
        # GTK also exits with 1 if it cannot open the display.
        return status == 1 and "cannot open display" not in complaint.lower()

    def _common(self, question: Question) -> list[str]:
        return ["zenity", f"--title={window_title(question)}"]

    def _question(self, question: Question, text: str, yes: str, no: str) -> list[str]:
        labels = [f"--ok-label={yes}", f"--cancel-label={no}"]
        options = ["--question", "--no-markup", "--default-cancel", f"--text={text}"]
        return [*self._common(question), *labels, *options]

    def _form_field(self, field: Field) -> str:
        label = textwrap.fill(as_prompt(field.label), _LABEL_WIDTH)
        return f"--add-{'password' if field.secret else 'entry'}={label}"


_SCRIPT = """on run argv
  set ourTitle to item 1 of argv
  set ourText to item 2 of argv
  set ourYes to item 3 of argv
  set ourNo to item 4 of argv
  activate
  %s
end run"""
"""In AppleScript, our names begin with `our`: any other word may be a keyword, or a scripting
addition's, as `yes` and `no` are. The rest is from the language guide ("Handler Reference",
"Commands Reference: display dialog")."""
_YES_NO = """display dialog ourText with title ourTitle buttons {ourNo, ourYes} \
default button 1 cancel button 1 with icon caution"""
_ENTER = """set ourReply to display dialog ourText with title ourTitle default answer %s \
buttons {ourNo, ourYes} default button 2 cancel button 1%s
  return text returned of ourReply"""


class Osascript:
    """osascript(1): Cancel is error -128, and like any other error makes it exit with 1. A default
    answer with several lines makes a field of several lines."""

    name = "osascript"

    def confirm(self, question: Question) -> list[str]:
        return self._run(question, _YES_NO, _text(question), question.confirm, "Cancel")

    def remember(self, question: Question) -> list[str]:
        return self._run(question, _YES_NO, _REMEMBER, "Remember", "Do not remember")

    def enter(self, question: Question, fields: Sequence[Field], place: str) -> list[str]:
        (field,) = fields
        default = "(linefeed & linefeed & linefeed & linefeed)" if field.multiline else '""'
        hidden = " with hidden answer" if field.secret and not field.multiline else ""
        text = _text(question, field, place)
        return self._run(question, _ENTER % (default, hidden), text, question.confirm, "Cancel")

    def together(self, fields: tuple[Field, ...]) -> list[tuple[Field, ...]]:
        return _apart(fields)

    def values(self, output: str, fields: Sequence[Field]) -> tuple[str, ...]:
        (field,) = fields
        return (output.replace("\r", "\n") if field.multiline else output,)

    def declined(self, status: int, complaint: str) -> bool:
        return status == 1 and "(-128)" in complaint

    def _run(self, question: Question, script: str, text: str, yes: str, no: str) -> list[str]:
        arguments = [window_title(question), text, yes, no]
        return ["osascript", "-e", _SCRIPT % script, "--", *arguments]


def _apart(fields: tuple[Field, ...]) -> list[tuple[Field, ...]]:
    return [(field,) for field in fields]


def _text(question: Question, field: Field | None = None, place: str = "") -> str:
    """The text of the dialog. These dialogs neither wrap nor scroll, and must leave the buttons on
    the screen."""
    parts = [question.title, question.message]
    if field is not None:
        parts.append(f"{place}: {as_prompt(field.label)}" if place else as_prompt(field.label))
        if field.multiline and field.secret:
            parts.append(_WARNING)
    title, message, *rest = (_wrapped(part) for part in parts)
    return "\n\n".join(part for part in (title, clip(message, 2000, _LINES), *rest) if part)


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.fill(line, _WIDTH) for line in text.split("\n"))


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
