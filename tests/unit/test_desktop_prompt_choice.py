"""Which ways of asking are tried, in which order, and what becomes of one that fails."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, Problem, ProblemError
from trayconnect.core.questions import Answer, Field, Question, QuestionKind
from trayconnect.desktop import helper_process
from trayconnect.desktop.prompts import prompter
from trayconnect.desktop.prompts.process import NotShownError
from trayconnect.desktop.prompts.prompter import ChainPrompter, Surroundings, order

PASSWORD = Question(
    QuestionKind.PASSWORD, "GPU box", "Log in to \x1bgpu", "As ada", (Field("Password"),), "Log in"
)
ALL = frozenset({"zenity", "osascript"})


@pytest.mark.parametrize(
    ("lives_in_terminal", "terminal", "tkinter", "programs", "expected"),
    [
        (False, True, True, ALL, ["tkinter", "zenity", "osascript", "terminal"]),
        (True, True, True, ALL, ["terminal", "tkinter", "zenity", "osascript"]),
        (True, False, True, {"zenity"}, ["tkinter", "zenity"]),
        (False, True, False, {"zenity"}, ["zenity", "terminal"]),
        (False, True, False, (), ["terminal"]),
        (False, False, True, (), ["tkinter"]),
        (False, False, False, (), []),
    ],
)
def test_the_order(
    lives_in_terminal: bool,
    terminal: bool,
    tkinter: bool,
    programs: frozenset[str],
    expected: list[str],
) -> None:
    here = Surroundings(lives_in_terminal, terminal, tkinter, frozenset(programs))
    assert list(order(here)) == expected


@given(
    st.builds(
        Surroundings,
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.frozensets(st.sampled_from([*ALL])),
    )
)
def test_every_way_there_is_comes_once(here: Surroundings) -> None:
    names = order(here)
    assert len(names) == len(set(names)) == here.terminal + here.tkinter + len(here.programs)


@pytest.mark.parametrize(
    ("display", "wayland", "tkinter", "programs"),
    [
        (":0", None, True, {"zenity"}),
        (None, "wayland-0", False, {"zenity"}),  # tkinter needs X11, also within Wayland
        (None, None, False, set()),
    ],
)
def test_what_a_screen_can_show(
    monkeypatch: pytest.MonkeyPatch,
    display: str | None,
    wayland: str | None,
    tkinter: bool,
    programs: set[str],
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(helper_process, "has_tkinter", lambda: True)
    monkeypatch.setattr(prompter, "has_terminal", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name: name if name == "zenity" else None)
    for name, value in (("DISPLAY", display), ("WAYLAND_DISPLAY", wayland)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    here = prompter.find_surroundings(lives_in_terminal=False)
    assert here == Surroundings(False, False, tkinter, frozenset(programs))


class Fake:
    """A way that answers, or fails, as told; `asked` are the questions it was given."""

    def __init__(self, name: str, outcome: Answer | Exception | None) -> None:
        self.name = name
        self.asked: list[Question] = []
        self._outcome = outcome

    def bring_to_front(self) -> None:
        pass

    def ask(self, question: Question, cancel: CancelToken) -> Answer | None:
        self.asked.append(question)
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


def chain(*ways: Fake) -> ChainPrompter:
    return ChainPrompter(lambda: ways)


def test_the_first_that_shows_it_answers() -> None:
    broken = Fake("one", NotShownError("no display"))
    good = Fake("two", Answer(("x\n",)))
    never = Fake("three", Answer(("y",)))
    assert chain(broken, good, never).ask(PASSWORD, CancelToken()) == Answer(("x",))
    assert never.asked == []
    (asked,) = good.asked
    assert asked.title == "Log in to gpu"


def test_a_no_is_not_asked_again_elsewhere() -> None:
    never = Fake("two", Answer(("y",)))
    assert chain(Fake("one", None), never).ask(PASSWORD, CancelToken()) is None
    assert never.asked == []


def test_what_broke_after_it_was_seen_is_not_asked_again_elsewhere() -> None:
    never = Fake("two", Answer(("y",)))
    with pytest.raises(ProblemError, match="crashed"):
        chain(Fake("one", ProblemError(Problem("crashed", ""))), never).ask(PASSWORD, CancelToken())
    assert never.asked == []


def test_a_withdrawn_question_is_not_asked_elsewhere() -> None:
    never = Fake("two", Answer(("y",)))
    assert chain(Fake("one", Cancelled()), never).ask(PASSWORD, CancelToken()) is None
    assert never.asked == []


@pytest.mark.parametrize("ways", [(), (Fake("one", NotShownError("no display")),)])
def test_no_way_to_ask_says_what_to_do(
    ways: tuple[Fake, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    with pytest.raises(ProblemError) as caught:
        chain(*ways).ask(PASSWORD, CancelToken())
    problem = caught.value.problem
    assert "GPU box" in problem.title
    assert "Log in to" in problem.advice
    assert "--no-tray" in problem.advice
    assert ("python3-tk" in problem.advice) is (sys.platform == "linux")
    assert problem.detail == ("one: no display" if ways else "")


def test_no_way_to_ask_about_a_host_key_shows_its_fingerprint() -> None:
    asked = Question(QuestionKind.HOST_KEY, "GPU box", "Is this gpu?", "ssh-ed25519  SHA256:abc")
    with pytest.raises(ProblemError, match="SHA256:abc"):
        chain().ask(asked, CancelToken())


@pytest.mark.skipif(sys.platform != "linux", reason="the screens of Linux")
@pytest.mark.parametrize(
    ("screen", "installed"),
    [("DISPLAY", "Install python3-tk or zenity"), ("WAYLAND_DISPLAY", "Install zenity"), ("", "")],
)
def test_only_what_works_on_this_screen_is_advised(
    screen: str, installed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if screen:
        monkeypatch.setenv(screen, "0")
    with pytest.raises(ProblemError) as caught:
        chain().ask(PASSWORD, CancelToken())
    advice = caught.value.problem.advice
    assert installed in advice
    assert ("Install" in advice) is bool(installed)


def test_the_ways_are_looked_for_at_each_question() -> None:
    rounds: list[Callable[[], list[Fake]]] = [
        list,
        lambda: [Fake("one", Answer(("x",)))],
    ]
    asking = ChainPrompter(lambda: rounds.pop(0)())
    with pytest.raises(ProblemError):
        asking.ask(PASSWORD, CancelToken())
    assert asking.ask(PASSWORD, CancelToken()) == Answer(("x",))


def test_a_helper_runs_from_this_very_package() -> None:
    command = helper_process.helper_command(helper_process.PROMPT)
    assert command == [sys.executable, "-P", "-m", "trayconnect.desktop.helper_process", "prompt"]
    first = helper_process.helper_environment()["PYTHONPATH"].split(":")[0]
    assert helper_process.__file__.startswith(first)


def test_a_helper_of_a_frozen_app_is_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert helper_process.helper_command(helper_process.CLIPBOARD) == [
        sys.executable,
        helper_process.HELPER_ARGUMENT,
        "clipboard",
    ]


@pytest.mark.parametrize("arguments", [[], ["other"], ["prompt", "more"]])
def test_an_unknown_helper_is_wrong_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert helper_process.main(arguments) == 2
    assert helper_process.HELPER_ARGUMENT in capsys.readouterr().err
