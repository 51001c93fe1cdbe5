"""Questions through a dialog program, typed into for real."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.xvfb import XServer
from trayconnect.cancel import Cancel
from trayconnect.desktop.prompt_dialog import DialogPrompter, zenity
from trayconnect.errors import ProblemError
from trayconnect.ports import Answer, Field, Question, QuestionKind

LIMIT = 60.0
TITLE = "trayconnect: GPU box"
FIELDS = (Field("User", secret=False), Field("Password"))
LOGIN = Question(QuestionKind.PASSWORD, "GPU box", "Log in to <gpu> & co", "", FIELDS)
HOST_KEY = Question(QuestionKind.HOST_KEY, "GPU box", "Unknown key", "SHA256:abc", (), "Trust it")


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[XServer]:
    with XServer() as server:
        monkeypatch.setenv("DISPLAY", server.display)
        monkeypatch.setenv("NO_AT_BRIDGE", "1")
        monkeypatch.setenv("GTK_A11Y", "none")
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        yield server


def test_zenity(screen: XServer) -> None:
    prompter = DialogPrompter(zenity, limit=LIMIT)
    cancel = Cancel()
    with ThreadPoolExecutor() as pool:
        try:
            answer = pool.submit(prompter.ask, LOGIN, cancel)
            for text in ("ada", "S3cret"):
                first = screen.wait_window(TITLE, LIMIT)
                screen.focus(first)
                screen.type(text)
                screen.key("Return")
                screen.wait_gone(first)
            assert answer.result(LIMIT) == Answer(("ada", "S3cret"))

            answer = pool.submit(prompter.ask, HOST_KEY, cancel)
            screen.focus(screen.wait_window(TITLE, LIMIT))
            screen.key("Return")
            assert answer.result(LIMIT) is None

            screen.wait_no_window(TITLE)
            answer = pool.submit(prompter.ask, HOST_KEY, cancel)
            screen.focus(screen.wait_window(TITLE, LIMIT))
            cancel.set()
            assert answer.result(LIMIT) is None
            screen.wait_no_window(TITLE)
        finally:
            cancel.set()


def test_a_dead_display_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(ProblemError, match="could not be shown"):
        DialogPrompter(zenity).ask(LOGIN, Cancel())


def test_a_program_that_is_gone_is_a_problem() -> None:
    with pytest.raises(ProblemError, match="could not be shown"):
        DialogPrompter(lambda *_: ["/nowhere/zenity"]).ask(LOGIN, Cancel())
