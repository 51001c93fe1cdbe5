"""The command lines of the dialog programs. None holds a secret.

Each reads the texts it is given in a way of its own (markup, mnemonics, escapes), as seen in
zenity 3.44; all of it is switched off or escaped, for parts come from servers.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from html import escape
from typing import Protocol

from trayconnect.core.questions import Field, Question
from trayconnect.desktop.prompts.prompt_text import as_prompt, clip, window_title

_SEPARATOR = "\x1f"
"""Between the values of a form: the unit separator of ASCII, which no key types."""
_WIDTH = 72
_LINES = 20
_LABEL_WIDTH = 50
_REMEMBER = "Remember this in the keyring?"
_WARNING = "Others can read it: this field does not hide what you type."


class DialogProgram(Protocol):
    """A program that shows one dialog, prints what was entered, and ends with 0 for yes and OK."""

    @property
    def name(self) -> str: ...

    def confirm(self, question: Question) -> list[str]:
        """Asks for yes or no; the default is no."""
        ...

    def enter(self, question: Question, fields: Sequence[Field], place: str) -> list[str]:
        """Asks for values. `place`: such as "1 of 2", where others are asked for apart."""
        ...

    def remember(self, question: Question) -> list[str]:
        """Asks whether the answer is to be kept."""
        ...

    def together(self, fields: tuple[Field, ...]) -> list[tuple[Field, ...]]:
        """The fields, by the dialogs that ask for them."""
        ...

    def values(self, output: str, fields: Sequence[Field]) -> tuple[str, ...]:
        """What was entered."""
        ...

    def declined(self, status: int, complaint: str) -> bool:
        """Whether it ended because the user said no."""
        ...


class Zenity:
    """zenity(1): 1 is no, Cancel and a closed window. It unescapes backslashes everywhere but in
    questions, and reads markup in forms, and mnemonics in entries."""

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
        if field.multiline:  # it shows no text of ours but the title
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
        # GTK exits with 1 also when it cannot open the display.
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
"""In AppleScript, our names begin with `our`: any other word may be one of its own, or of a
scripting addition, as `yes` and `no` are. The rest is of the language guide ("Handler Reference",
"Commands Reference: display dialog")."""
_YES_NO = """display dialog ourText with title ourTitle buttons {ourNo, ourYes} \
default button 1 cancel button 1 with icon caution"""
_ENTER = """set ourReply to display dialog ourText with title ourTitle default answer %s \
buttons {ourNo, ourYes} default button 2 cancel button 1%s
  return text returned of ourReply"""


class Osascript:
    """osascript(1): the user's no is error -128, and like any other error ends it with 1. A
    field of several lines is one whose default answer has them."""

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
    """What to say. These dialogs neither wrap nor scroll, and must leave the buttons on the
    screen."""
    parts = [question.title, question.message]
    if field is not None:
        parts.append(f"{place}: {as_prompt(field.label)}" if place else as_prompt(field.label))
        if field.multiline and field.secret:
            parts.append(_WARNING)
    title, message, *rest = (_wrapped(part) for part in parts)
    return "\n\n".join(part for part in (title, clip(message, 2000, _LINES), *rest) if part)


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.fill(line, _WIDTH) for line in text.split("\n"))
