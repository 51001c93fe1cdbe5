"""Which way of asking is chosen, and the dialogs of other programs."""

from __future__ import annotations

import sys

import pytest

from trayconnect.cancel import Cancel
from trayconnect.desktop import helpers, prompt
from trayconnect.desktop.prompt_dialog import (
    DialogPrompter,
    installed_dialog,
    kdialog,
    osascript,
    zenity,
)
from trayconnect.desktop.prompt_gui import WindowPrompter
from trayconnect.desktop.prompt_terminal import TerminalPrompter
from trayconnect.errors import ProblemError
from trayconnect.ports import Field, Question, QuestionKind

SECRET = Field("Password")
PASSWORD = Question(
    QuestionKind.PASSWORD, "GPU box", "Log in to <gpu>", "As ada & co", (SECRET,), "Log in"
)
HOST_KEY = Question(QuestionKind.HOST_KEY, "GPU box", "Unknown key", "SHA256:abc", (), "Trust it")


@pytest.mark.parametrize(
    ("wants_terminal", "terminal", "display", "tkinter", "dialog", "expected"),
    [
        (True, True, True, True, True, TerminalPrompter),
        (True, False, True, True, True, WindowPrompter),
        (False, True, True, True, True, WindowPrompter),
        (False, True, True, False, True, DialogPrompter),
        (False, True, True, False, False, TerminalPrompter),
        (False, True, False, True, True, TerminalPrompter),
        (False, False, False, True, True, prompt.RefusingPrompter),
        (False, False, True, False, False, prompt.RefusingPrompter),
    ],
)
def test_the_choice(
    monkeypatch: pytest.MonkeyPatch,
    wants_terminal: bool,
    terminal: bool,
    display: bool,
    tkinter: bool,
    dialog: bool,
    expected: type,
) -> None:
    monkeypatch.setattr(prompt, "has_terminal", lambda: terminal)
    monkeypatch.setattr(helpers, "has_display", lambda: display)
    monkeypatch.setattr(helpers, "has_screen", lambda: display)
    monkeypatch.setattr(helpers, "has_tkinter", lambda: tkinter)
    monkeypatch.setattr(prompt, "installed_dialog", lambda: zenity if dialog else None)
    assert type(prompt.prompter(interactive_terminal=wants_terminal)) is expected


def test_no_way_to_ask_says_what_to_do() -> None:
    with pytest.raises(ProblemError) as caught:
        prompt.RefusingPrompter().ask(PASSWORD, Cancel())
    problem = caught.value.problem
    assert PASSWORD.title in problem.advice
    assert "--no-tray" in problem.advice
    assert ("python3-tk" in problem.advice) is (sys.platform == "linux")


def test_wayland_alone_is_no_display_for_tkinter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert not helpers.has_display()
    assert helpers.has_screen()


def test_the_first_dialog_program_that_is_installed() -> None:
    assert installed_dialog({"kdialog": "/k", "zenity": "/z"}.get) is zenity
    assert installed_dialog({"kdialog": "/k"}.get) is kdialog
    assert installed_dialog({"osascript": "/o"}.get) is osascript
    assert installed_dialog(dict[str, str]().get) is None


def test_zenity_escapes_where_it_reads_markup() -> None:
    entry = zenity(PASSWORD, SECRET)
    assert "--hide-text" in entry
    assert "--text=Log in to &lt;gpu&gt;\n\nAs ada &amp; co\n\nPassword:" in entry
    question = zenity(HOST_KEY, None)
    assert {"--question", "--no-markup", "--default-cancel", "--ok-label=Trust it"} <= set(question)
    assert "--hide-text" not in zenity(PASSWORD, Field("User", secret=False))


def test_kdialog() -> None:
    assert "--password" in kdialog(PASSWORD, SECRET)
    assert "--inputbox" in kdialog(PASSWORD, Field("User", secret=False))
    assert "--warningyesno" in kdialog(HOST_KEY, None)


def test_osascript_gets_texts_as_arguments() -> None:
    command = osascript(PASSWORD, SECRET)
    assert command[:2] == ["osascript", "-e"]
    assert "hidden answer" in command[2]
    assert "gpu" not in command[2]
    assert command[3:] == [
        "--",
        "trayconnect: GPU box",
        "Log in to <gpu>\n\nAs ada & co\n\nPassword:",
        "Log in",
    ]
    assert "hidden answer" not in osascript(PASSWORD, Field("User", secret=False))[2]
    assert "default button 1 cancel button 1" in osascript(HOST_KEY, None)[2]


def test_a_helper_runs_from_this_very_package() -> None:
    command = helpers.helper_command(helpers.PROMPT)
    assert command == [sys.executable, "-P", "-m", "trayconnect.desktop.prompt_window"]
    first = helpers.helper_environment()["PYTHONPATH"].split(":")[0]
    assert helpers.__file__.startswith(first)


def test_a_helper_of_a_frozen_app_is_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert helpers.helper_command(helpers.CLIPBOARD) == [
        sys.executable,
        helpers.HELPER_ARGUMENT,
        "clipboard",
    ]


@pytest.mark.parametrize("arguments", [[], ["other"], ["prompt", "more"]])
def test_an_unknown_helper_is_wrong_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert helpers.main(arguments) == 2
    assert helpers.HELPER_ARGUMENT in capsys.readouterr().err
