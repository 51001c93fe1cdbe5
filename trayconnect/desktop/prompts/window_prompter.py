"""Asks in a window of our own: the app's side, and the JSON that passes between it and
`prompt_window`."""

from __future__ import annotations

import json
from pathlib import Path

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.questions import Answer, Field, Question, QuestionKind
from trayconnect.desktop import helper_process
from trayconnect.desktop.helper_process import Lifeline
from trayconnect.desktop.prompts.guard import GUARD
from trayconnect.desktop.prompts.process import ANSWER_LIMIT, NotShownError, broke, converse
from trayconnect.desktop.prompts.prompt_text import LONGEST_VALUE

SHOWN = b"shown\n"


def encode_question(question: Question, icon: str = "", guard: float = 0.0) -> bytes:
    """`icon`: the path of a PNG file for the window, or empty. `guard`: seconds, see `guard`."""
    return json.dumps(
        {
            "kind": question.kind.value,
            "server": question.server,
            "title": question.title,
            "message": question.message,
            "fields": [[field.label, field.secret, field.multiline] for field in question.fields],
            "confirm": question.confirm,
            "can_remember": question.can_remember,
            "icon": icon,
            "guard": guard,
        }
    ).encode()


def decode_question(data: bytes) -> tuple[Question, str, float]:
    """The question, the icon and the guard. Raises `ValueError` for data that `encode_question` did
    not make."""
    try:
        read = json.loads(data)
        question = Question(
            kind=QuestionKind(read["kind"]),
            server=str(read["server"]),
            title=str(read["title"]),
            message=str(read["message"]),
            fields=tuple(
                Field(str(label), bool(secret), bool(multiline))
                for label, secret, multiline in read["fields"]
            ),
            confirm=str(read["confirm"]),
            can_remember=bool(read["can_remember"]),
        )
        return question, str(read["icon"]), float(read["guard"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a question: {error!r}") from error


def encode_answer(answer: Answer | None) -> bytes:
    """None: declined."""
    if answer is None:
        return b'{"declined": true}'
    return json.dumps({"values": answer.values, "remember": answer.remember}).encode()


def decode_answer(data: bytes, question: Question) -> Answer | None:
    """Raises `ValueError`, without any of the data in it, unless it answers the question."""
    try:
        read = json.loads(data)
    except ValueError:
        raise ValueError("the answer is not JSON") from None
    if read == {"declined": True}:
        return None
    if not isinstance(read, dict) or read.keys() != {"values", "remember"}:
        raise ValueError("the answer has the wrong shape")
    values, remember = read["values"], read["remember"]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError("the answer's values are not texts")
    if len(values) != len(question.fields) or not isinstance(remember, bool):
        raise ValueError("the answer does not fit the question")
    if any(len(value.encode(errors="replace")) > LONGEST_VALUE for value in values):
        raise ValueError("the answer is too long")
    return Answer(tuple(values), remember and question.can_remember)


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
            encode_question(question, self._icon, self._guard),
            question,
            cancel,
            self._limit,
            self._show_limit,
            self._note,
        )
        output = result.output.removeprefix(SHOWN)
        if len(output) == len(result.output):
            raise NotShownError(f"status {result.status}: {result.complaint}")
        if result.status != 0:
            raise broke(question, f"status {result.status}: {result.complaint}")
        try:
            return decode_answer(output, question)
        except ValueError as error:
            raise broke(question, str(error)) from error
