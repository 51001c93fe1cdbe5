"""Sanitizes and formats the text of a question: parts of it come from servers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from trayconnect.core import sanitize
from trayconnect.core.questions import Field, Question, QuestionKind

LONGEST_LINE = 300
LONGEST_MESSAGE = 20_000
LONGEST_VALUE = 64 * 1024
"""Limit in bytes for one value of an answer: no private key is longer."""

_ENDS = (":", "?", ">", "=", "\N{HORIZONTAL ELLIPSIS}")
_TAIL = "\N{HORIZONTAL ELLIPSIS}"


def harmless(question: Question) -> Question:
    """The same question without characters that control a terminal or reorder the text on the
    screen (Unicode's bidirectional controls), and short enough for the screen."""
    return replace(
        question,
        server=_line(question.server),
        title=_line(question.title),
        message=clip(printable(question.message.expandtabs(4)), LONGEST_MESSAGE),
        fields=tuple(
            replace(field, label=_line(field.label) or "Answer") for field in question.fields
        ),
        confirm=_line(question.confirm),
    )


def printable(text: str) -> str:
    """Without control and format characters, except line ends."""
    return sanitize.text(text, LONGEST_MESSAGE + 1)


def clip(text: str, longest: int, lines: int | None = None) -> str:
    """At most so many characters, and lines."""
    kept = text if lines is None else "\n".join(text.split("\n")[:lines])
    kept = kept[:longest]
    return kept if kept == text else kept.rstrip() + _TAIL


def _line(text: str) -> str:
    return clip(" ".join(printable(text).split()), LONGEST_LINE)


def as_prompt(label: str) -> str:
    """A label before an input; most servers' labels end with a colon already."""
    return label if label.endswith(_ENDS) else f"{label}:"


def window_title(question: Question) -> str:
    """The server, the subject, and the program: a taskbar cuts off the end."""
    return f"{question.server}: {_WORDS[question.kind]} \N{EN DASH} trayconnect"


_WORDS = {
    QuestionKind.PASSWORD: "password",
    QuestionKind.PASSPHRASE: "passphrase",
    QuestionKind.ONE_TIME_CODE: "one-time code",
    QuestionKind.KEYBOARD_INTERACTIVE: "login",
    QuestionKind.PRIVATE_KEY: "private key",
    QuestionKind.HOST_KEY: "host key",
    QuestionKind.VISIT: "login elsewhere",
    QuestionKind.CONFIRM: "question",
}


def is_complete(question: Question, fields: Sequence[Field], values: Sequence[str]) -> bool:
    """Whether these values answer the fields of the question."""
    tidied = [tidy(field, value) for field, value in zip(fields, values, strict=True)]
    return all(
        (value or question.may_be_empty) and len(value.encode(errors="replace")) <= LONGEST_VALUE
        for value in tidied
    )


def next_to_fill(question: Question, values: tuple[str, ...], current: int) -> int | None:
    """The field that Return moves to from the current one; None: Return confirms."""
    empty = [number for number, value in enumerate(values) if not value]
    if question.may_be_empty:  # a skipped field is meant to be empty
        empty = [number for number in empty if number > current]
    return empty[0] if empty else None


def tidy(field: Field, value: str) -> str:
    """A value without artefacts of pasting: the line end of a copied line, a text's surrounding
    blanks. OpenSSH needs the final line end of a key."""
    if not field.multiline:
        return value.rstrip("\r\n")
    lines = [line.rstrip() for line in value.strip().splitlines()]
    return "\n".join(lines) + "\n" if lines else ""


def is_last_line_of_key(line: str) -> bool:
    """Whether a pasted private key ends with this line: PEM (RFC 7468), SSH2 (RFC 4716), PuTTY."""
    line = line.strip()
    return line.startswith(("-----END ", "---- END ", "Private-MAC:"))
