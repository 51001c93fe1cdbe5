"""What is said on a terminal, and what counts as an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, ProblemError, Recovery
from trayconnect.core.questions import Answer, Field, Question, QuestionKind
from trayconnect.desktop.prompts.process import NotShownError
from trayconnect.desktop.prompts.prompter import ChainPrompter
from trayconnect.desktop.prompts.terminal_prompter import TerminalPrompter

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

    def read_lines(
        self, is_last: Callable[[str], bool], *, echo: bool, cancel: CancelToken, limit: float
    ) -> list[str] | None:
        self.echoes.append(echo)
        read: list[str] = []
        while not (read and is_last(read[-1])):
            line = self.lines.pop(0)
            if isinstance(line, Exception):
                raise line
            if line is None:
                return read or None
            read.append(line)
        return read

    def close(self) -> None:
        self.closed = True


def ask(script: Script, question: Question) -> Answer | None:
    answer = ChainPrompter(lambda: [TerminalPrompter(lambda: script)]).ask(question, CancelToken())
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
    assert caught.value.problem.recovery is Recovery.USER_ACTION
    assert "GPU box" in caught.value.problem.title


def test_without_a_terminal_nothing_is_shown() -> None:
    def missing() -> Script:
        raise FileNotFoundError(2, "no /dev/tty")

    with pytest.raises(NotShownError, match="no /dev/tty"):
        TerminalPrompter(missing).ask(password(), CancelToken())


def test_others_are_quiet_while_a_question_stands() -> None:
    told = []

    @contextmanager
    def quiet() -> Iterator[None]:
        told.append(script.shown)
        yield
        told.append(script.shown)

    script = Script("s3cret")
    assert TerminalPrompter(lambda: script, quiet=quiet).ask(password(), CancelToken())
    assert told[0] == ""
    assert "Password: " in told[1]


KEY = ["-----BEGIN OPENSSH PRIVATE KEY-----", "b3BlbnNza", "-----END OPENSSH PRIVATE KEY-----"]
PRIVATE_KEY = Question(
    QuestionKind.PRIVATE_KEY, "GPU box", "Paste it", "", (Field("Private key", multiline=True),)
)


def test_a_private_key_is_read_to_its_last_line_and_not_echoed() -> None:
    script = Script(*KEY)
    assert ask(script, PRIVATE_KEY) == Answer(("\n".join(KEY) + "\n",))
    assert script.echoes == [False]


def test_an_unknown_text_is_read_to_the_end_of_input() -> None:
    assert ask(Script("some", "", "text", None), PRIVATE_KEY) == Answer(("some\n\ntext\n",))
    assert ask(Script(None), PRIVATE_KEY) is None


def test_an_empty_password_is_asked_for_again() -> None:
    assert ask(Script("", "", "x"), password()) == Answer(("x",))


def test_an_empty_answer_to_a_servers_own_prompt_is_one() -> None:
    fields = (Field("Press Enter for a push:", secret=False), Field("PIN"))
    question = Question(QuestionKind.KEYBOARD_INTERACTIVE, "GPU box", "Log in", "", fields)
    script = Script("", "")
    assert ask(script, question) == Answer(("", ""))
    assert "push: PIN: " in script.shown  # no second colon


def test_a_server_cannot_command_the_terminal() -> None:
    evil = Question(
        QuestionKind.KEYBOARD_INTERACTIVE,
        "a\x1b[2J",
        "b\x07\n\u202e",
        "c\x9b31m\nd\u2066",
        (Field("e\r\x1b", secret=False),),
        confirm="f\x1b",
    )
    script = Script("no")
    ask(script, evil)
    assert not set(script.shown) & set("\x1b\x07\x9b\r\u202e\u2066")
    assert "c\nd" in script.shown
