"""The command lines of the dialog programs, and what becomes of their ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.support.systems import has_shell
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, ProblemError
from trayconnect.core.questions import Answer, Field, Question, QuestionKind
from trayconnect.desktop.prompts.dialog_prompter import (
    DialogProgram,
    DialogPrompter,
    Osascript,
    Zenity,
)
from trayconnect.desktop.prompts.process import NotShownError

SECRET, PLAIN = Field("Password"), Field("User", secret=False)
KEY = Field("Private key", multiline=True)
TRICKY = Question(
    QuestionKind.PASSWORD, "GPU box", "Log in to <gpu>", r"As ada & co \n _x", (SECRET,), "Log in"
)
HOST_KEY = Question(QuestionKind.HOST_KEY, "GPU box", "Unknown key", "SHA256:abc", (), "Trust it")
PROGRAMS: list[DialogProgram] = [Zenity(), Osascript()]


def test_zenity_gets_each_text_as_it_reads_it() -> None:
    entry = Zenity().enter(TRICKY, [SECRET], "")
    assert "--hide-text" in entry
    assert "--text=Log in to <gpu>\n\nAs ada & co \\\\n __x\n\nPassword:" in entry
    form = Zenity().enter(TRICKY, [PLAIN, SECRET], "")
    assert "--text=Log in to &lt;gpu&gt;\n\nAs ada &amp; co \\\\n _x" in form
    assert form[-2:] == ["--add-entry=User:", "--add-password=Password:"]
    question = Zenity().confirm(HOST_KEY)
    assert {"--question", "--no-markup", "--default-cancel", "--ok-label=Trust it"} <= set(question)
    assert "--hide-text" not in Zenity().enter(TRICKY, [PLAIN], "")
    assert "--text-info" in Zenity().enter(TRICKY, [KEY], "")


def test_zenity_shows_lines_at_once_and_a_text_apart() -> None:
    assert Zenity().together((PLAIN, SECRET)) == [(PLAIN, SECRET)]
    assert Zenity().together((PLAIN, KEY)) == [(PLAIN,), (KEY,)]


def test_osascript_gets_texts_as_arguments() -> None:
    command = Osascript().enter(TRICKY, [SECRET], "")
    assert command[:2] == ["osascript", "-e"]
    assert "hidden answer" in command[2]
    assert "gpu" not in command[2]
    assert command[3:] == [
        "--",
        "GPU box: password – trayconnect",
        "Log in to <gpu>\n\nAs ada & co \\n _x\n\nPassword:",
        "Log in",
        "Cancel",
    ]
    assert "hidden answer" not in Osascript().enter(TRICKY, [PLAIN], "")[2]
    assert "default button 1 cancel button 1" in Osascript().confirm(HOST_KEY)[2]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_a_long_banner_leaves_the_buttons_on_the_screen(program: DialogProgram) -> None:
    long = replace(TRICKY, message="\n".join(f"line {n} " + "x" * 200 for n in range(99)))
    text = max(program.enter(long, [SECRET], ""), key=len)
    assert len(text) < 4000
    assert text.count("\n") < 40
    assert "Password:" in text


def test_fields_that_are_asked_for_apart_are_counted() -> None:
    assert len(Osascript().together((PLAIN, SECRET))) == 2
    asked = Osascript().enter(TRICKY, [SECRET], "2 of 2")
    assert any("2 of 2: Password:" in word for word in asked)


@pytest.mark.parametrize(
    ("program", "status", "complaint", "declined"),
    [
        (Zenity(), 1, "", True),
        (Zenity(), 1, "Gtk-WARNING: cannot open display: :4711", False),
        (Zenity(), 255, "This option is not available.", False),
        (Osascript(), 1, "execution error: User canceled. (-128)", True),
        (Osascript(), 1, "execution error: No user interaction allowed. (-1713)", False),
    ],
)
def test_declined_or_broken(
    program: DialogProgram, status: int, complaint: str, declined: bool
) -> None:
    assert program.declined(status, complaint) is declined


class Scripted(Zenity):
    """Zenity, whose dialogs are Python scripts run one after the other."""

    def __init__(self, *scripts: str) -> None:
        self.scripts = list(scripts)

    def _next(self) -> list[str]:
        return [sys.executable, "-c", self.scripts.pop(0)]

    def confirm(self, question: Question) -> list[str]:
        return self._next()

    def remember(self, question: Question) -> list[str]:
        return self._next()

    def enter(self, question: Question, fields: Sequence[Field], place: str) -> list[str]:
        return self._next()


def ask(question: Question, *scripts: str, early: float = 60.0) -> Answer | None:
    program = Scripted(*scripts)
    answer = DialogPrompter(program, early=early).ask(question, CancelToken())
    assert program.scripts == []
    return answer


NO = "raise SystemExit(1)"


@has_shell
def test_values_with_anything_in_them_come_apart_where_they_should() -> None:
    both = replace(TRICKY, fields=(PLAIN, SECRET))
    assert ask(both, r"print('a|b,c\\' + '\x1f' + ' d e ')") == Answer(("a|b,c\\", " d e "))


@has_shell
def test_a_form_that_prints_something_else_is_a_problem() -> None:
    with pytest.raises(ProblemError) as caught:
        ask(replace(TRICKY, fields=(PLAIN, SECRET)), "print('s3cret')")
    assert "s3cret" not in caught.value.problem.detail


@has_shell
@pytest.mark.parametrize(("script", "remember"), [("pass", True), (NO, False), ("1/0", False)])
def test_whether_to_remember_is_asked_after(script: str, remember: bool) -> None:
    keepable = replace(TRICKY, can_remember=True)
    assert ask(keepable, "print('x')", script) == Answer(("x",), remember)


@has_shell
def test_no_ends_it() -> None:
    assert ask(replace(TRICKY, can_remember=True), NO) is None
    assert ask(HOST_KEY, NO) is None
    assert ask(HOST_KEY, "pass") == Answer()


@has_shell
def test_one_that_breaks_at_once_was_not_shown_and_later_it_is_a_problem() -> None:
    with pytest.raises(NotShownError, match="status 3"):
        ask(TRICKY, "raise SystemExit(3)")
    with pytest.raises(ProblemError, match="crashed"):
        ask(TRICKY, "raise SystemExit(3)", early=0.0)


@has_shell
def test_one_that_breaks_after_another_is_a_problem() -> None:
    apart = replace(TRICKY, fields=(PLAIN, KEY))
    with pytest.raises(ProblemError, match="crashed"):
        ask(apart, "print('ada')", "raise SystemExit(3)")


@has_shell
def test_a_withdrawn_question_is_told_from_a_no() -> None:
    cancel = CancelToken()
    cancel.set()
    with pytest.raises(Cancelled):
        DialogPrompter(Scripted("pass")).ask(TRICKY, cancel)


@has_shell
def test_a_program_that_is_gone_was_not_shown() -> None:
    class Gone(Zenity):
        def confirm(self, question: Question) -> list[str]:
            return ["/nowhere/zenity"]

    with pytest.raises(NotShownError, match="/nowhere/zenity"):
        DialogPrompter(Gone()).ask(HOST_KEY, CancelToken())
