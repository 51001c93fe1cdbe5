"""Questions through zenity, typed into for real."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from Xlib.xobject.drawable import Window

from tests.support.waiting import wait_for
from tests.support.xvfb import XServer
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.questions import Answer, Field, Question, QuestionKind
from trayconnect.desktop.prompts.dialog_prompter import DialogPrompter, Zenity
from trayconnect.desktop.prompts.process import NotShownError
from trayconnect.desktop.prompts.prompt_text import window_title
from trayconnect.desktop.prompts.prompter import ChainPrompter, QuestionBackend
from trayconnect.desktop.prompts.window_prompter import WindowPrompter

LIMIT = 120.0
PASSWORD = Question(
    QuestionKind.PASSWORD,
    "GPU box",
    "Log in to <gpu> & co",
    "",
    (Field("Password"),),
    "Log in",
    True,
)
TWO_FIELDS = Question(
    QuestionKind.KEYBOARD_INTERACTIVE,
    "GPU box",
    "Log in to <gpu> & co",
    r"Any \n words_of <b>the server</b>",
    (Field("User", secret=False), Field("Code:")),
)
HOST_KEY = Question(QuestionKind.HOST_KEY, "GPU box", "Unknown key", "SHA256:abc", (), "Trust it")
PRIVATE_KEY = Question(
    QuestionKind.PRIVATE_KEY, "GPU box", "Paste it", "", (Field("Private key", multiline=True),)
)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[XServer]:
    with XServer() as server:
        monkeypatch.setenv("DISPLAY", server.display)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("NO_AT_BRIDGE", "1")
        monkeypatch.setenv("GTK_A11Y", "none")
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
        yield server


class User:
    """Answers dialogs, one after the other."""

    def __init__(self, screen: XServer, pool: ThreadPoolExecutor) -> None:
        self.cancel = CancelToken()
        self.screen = screen
        self._pool = pool
        self._last: Window | None = None

    def asked(self, question: Question) -> Future[Answer | None]:
        way = DialogPrompter(Zenity(), limit=LIMIT)
        return self._pool.submit(ChainPrompter(lambda: [way]).ask, question, self.cancel)

    def wait_dialog(self) -> None:
        """Until another dialog than the last one stands, and has the keyboard."""

        def found() -> Window | None:
            shown = [w for w, title in self.screen.windows() if title.startswith("GPU box: ")]
            return next((window for window in shown if window != self._last), None)

        self._last = wait_for(found, "a dialog", LIMIT)
        self.screen.focus(self._last)

    def press(self, *keys: str) -> None:
        """In the dialog that stands, to its end."""
        assert self._last is not None
        for key in keys:
            self.screen.key(key)
        self.screen.wait_gone(self._last, LIMIT)
        self._last = None  # the next one's window may get the same number


@pytest.fixture
def user(screen: XServer) -> Iterator[User]:
    with ThreadPoolExecutor() as pool:
        user = User(screen, pool)
        yield user
        user.cancel.set()


def test_a_password_that_is_to_be_remembered(user: User) -> None:
    answer = user.asked(PASSWORD)
    user.wait_dialog()
    user.press("Return")  # empty: asked again
    user.wait_dialog()
    user.screen.type("S3cret")
    user.press("Return")
    user.wait_dialog()
    user.press("Tab", "Return")
    assert answer.result(LIMIT) == Answer(("S3cret",), remember=True)


def test_not_to_remember_is_no_decline(user: User) -> None:
    answer = user.asked(PASSWORD)
    user.wait_dialog()
    user.screen.type("x")
    user.press("Return")
    user.wait_dialog()
    user.press("Escape")
    assert answer.result(LIMIT) == Answer(("x",), remember=False)


def test_zenity_shows_all_fields_at_once(user: User) -> None:
    answer = user.asked(TWO_FIELDS)
    user.wait_dialog()
    user.screen.type("a:b")
    user.screen.key("Tab")
    user.press("Tab", "Tab", "Return")
    assert answer.result(LIMIT) == Answer(("a:b", ""))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["Return"], None),
        (["Tab", "Return"], Answer()),
    ],
)
def test_a_host_key_is_trusted_on_purpose_only(
    user: User, keys: list[str], said: Answer | None
) -> None:
    answer = user.asked(HOST_KEY)
    user.wait_dialog()
    user.press(*keys)
    assert answer.result(LIMIT) == said


@pytest.mark.parametrize("question", [PASSWORD, HOST_KEY, PRIVATE_KEY])
def test_escape_declines(user: User, question: Question) -> None:
    answer = user.asked(question)
    user.wait_dialog()
    user.press("Escape")
    assert answer.result(LIMIT) is None


def test_a_text_of_several_lines(user: User) -> None:
    answer = user.asked(PRIVATE_KEY)
    user.wait_dialog()
    for line in ("one", "two"):
        user.screen.type(line)
        user.screen.key("Return")
    user.screen.key("Tab", "Control_L")  # a Tab alone is a part of the text
    user.press("Tab", "Return")
    assert answer.result(LIMIT) == Answer(("one\ntwo\n",))


def test_a_cancel_withdraws_the_dialog(user: User) -> None:
    answer = user.asked(HOST_KEY)
    user.wait_dialog()
    user.cancel.set()
    assert answer.result(LIMIT) is None
    wait_for(lambda: not any("GPU box" in title for _, title in user.screen.windows()), "its end")


def test_on_a_dead_display_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(NotShownError, match="display"):
        DialogPrompter(Zenity(), early=LIMIT).ask(HOST_KEY, CancelToken())


def test_a_broken_window_gives_way_to_a_dialog(user: User) -> None:
    broken = WindowPrompter(command=["/bin/false"])
    ways: list[QuestionBackend] = [broken, DialogPrompter(Zenity(), limit=LIMIT)]
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(ChainPrompter(lambda: ways).ask, HOST_KEY, user.cancel)
        try:
            user.wait_dialog()
            assert user.screen.find_window(window_title(HOST_KEY)) is not None
            user.press("Tab", "Return")
            assert answer.result(LIMIT) == Answer()
        finally:
            user.cancel.set()


_ASKS = """
from trayconnect.core.cancellation import CancelToken
from trayconnect.desktop.prompts.dialog_prompter import Zenity
from trayconnect.desktop.prompts.dialog_prompter import DialogPrompter
from trayconnect.desktop.prompts.window_prompter import WindowPrompter
from trayconnect.desktop.windows.text_view import TextViews
from trayconnect.core.questions import Question, QuestionKind
import time

def text(*_):
    TextViews().show("Orphan", "text")
    time.sleep(300)

ask = {"zenity": DialogPrompter(Zenity()).ask, "window": WindowPrompter().ask, "text": text}[WAY]
ask(Question(QuestionKind.HOST_KEY, "Orphan", "Orphan", "really?"), CancelToken())
"""


@pytest.mark.parametrize("way", ["zenity", "window", "text"])
def test_a_window_goes_with_an_app_that_is_killed(screen: XServer, way: str) -> None:
    app = subprocess.Popen([sys.executable, "-c", _ASKS.replace("WAY", repr(way))])
    try:
        wait_for(lambda: _orphans(screen), "the window", LIMIT)
    finally:
        app.kill()
        app.wait()
    wait_for(lambda: not _orphans(screen), "the window to go", LIMIT)


def _orphans(screen: XServer) -> list[str]:
    return [title for _, title in screen.windows() if "Orphan" in title]
