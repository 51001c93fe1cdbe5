"""What is said on a terminal, and what counts as an answer."""

from __future__ import annotations

import pytest

from trayconnect.cancel import Cancel
from trayconnect.desktop.prompt_terminal import TerminalPrompter, printable
from trayconnect.errors import Cancelled, ProblemError, Remedy
from trayconnect.ports import Answer, Field, Question, QuestionKind

HOST_KEY = Question(
    QuestionKind.HOST_KEY,
    "GPU box",
    "The host key of gpu.example.org is unknown",
    "SHA256:abc",
    confirm="Trust it",
)


def password(can_remember: bool = False) -> Question:
    return Question(
        QuestionKind.PASSWORD,
        "GPU box",
        "Password for ada@gpu.example.org",
        "",
        (Field("Password"),),
        can_remember=can_remember,
    )


class Script:
    """A terminal whose user types these lines; an exception is raised in their place."""

    def __init__(self, *lines: str | Exception | None) -> None:
        self.lines = list(lines)
        self.shown = ""
        self.echoes: list[bool] = []
        self.closed = False

    def write(self, text: str) -> None:
        self.shown += text

    def read_line(self, *, echo: bool, cancel: Cancel, limit: float) -> str | None:
        self.echoes.append(echo)
        line = self.lines.pop(0)
        if isinstance(line, Exception):
            raise line
        return line

    def close(self) -> None:
        self.closed = True


def ask(script: Script, question: Question) -> Answer | None:
    answer = TerminalPrompter(lambda: script).ask(question, Cancel())
    assert script.closed
    assert script.lines == []
    return answer


@pytest.mark.parametrize("said", ["yes", "YES", " yes "])
def test_a_host_key_is_trusted_by_a_full_yes(said: str) -> None:
    script = Script(said)
    assert ask(script, HOST_KEY) == Answer()
    assert "GPU box" in script.shown
    assert "SHA256:abc" in script.shown
    assert "trust it" in script.shown


@pytest.mark.parametrize("said", ["", "no", "N", None])
def test_no_is_no(said: str | None) -> None:
    assert ask(Script(said), HOST_KEY) is None


@pytest.mark.parametrize("said", ["y", "yess", "ye", "maybe"])
def test_what_is_neither_is_asked_again(said: str) -> None:
    assert ask(Script(said, "yes"), HOST_KEY) == Answer()
    assert ask(Script(said, ""), HOST_KEY) is None


def test_a_password_is_not_echoed() -> None:
    script = Script("s3cret")
    assert ask(script, password()) == Answer(("s3cret",))
    assert script.echoes == [False]
    assert "s3cret" not in script.shown


def test_a_field_that_is_no_secret_is_echoed() -> None:
    question = Question(
        QuestionKind.PASSWORD, "x", "Log in", "", (Field("User", secret=False), Field("Code"))
    )
    script = Script("ada", "123")
    assert ask(script, question) == Answer(("ada", "123"))
    assert script.echoes == [True, False]


@pytest.mark.parametrize(("said", "remember"), [("y", True), ("YES", True), ("", False)])
def test_remember(said: str, remember: bool) -> None:
    assert ask(Script("s3cret", said), password(can_remember=True)) == Answer(("s3cret",), remember)


def test_the_end_of_input_declines() -> None:
    assert ask(Script(None), password()) is None


def test_a_cancel_withdraws_the_question() -> None:
    script = Script(Cancelled())
    assert ask(script, password()) is None
    assert "withdrawn" in script.shown


@pytest.mark.parametrize(
    ("error", "title"),
    [(TimeoutError(), "nobody answered"), (OSError(5, "gone"), "cannot be used to ask")],
)
def test_a_terminal_that_fails_is_a_problem(error: Exception, title: str) -> None:
    with pytest.raises(ProblemError, match=title) as caught:
        ask(Script(error), password())
    assert caught.value.problem.remedy is Remedy.USER
    assert "GPU box" in caught.value.problem.title


def test_no_terminal_is_a_problem() -> None:
    def missing() -> Script:
        raise FileNotFoundError(2, "no /dev/tty")

    with pytest.raises(ProblemError, match="cannot be used to ask"):
        TerminalPrompter(missing).ask(password(), Cancel())


def test_a_server_cannot_command_the_terminal() -> None:
    evil = Question(QuestionKind.HOST_KEY, "a\x1b[2J", "b\x07", "c\x9b31m\nd", confirm="e\x1b")
    script = Script("no")
    ask(script, evil)
    assert not set(script.shown) & set("\x1b\x07\x9b")
    assert printable("a\nb") == "a\nb"
