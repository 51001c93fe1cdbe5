"""The prompt window, typed into for real."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest
from PIL import Image
from Xlib import X

from tests.support.waiting import wait_for
from tests.support.window_manager import window_manager
from tests.support.xvfb import XServer
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, ProblemError, Recovery
from trayconnect.core.questions import Answer, Field, Prompter, Question, QuestionKind
from trayconnect.desktop.prompts.process import NotShownError
from trayconnect.desktop.prompts.prompt_text import LONGEST_VALUE, window_title
from trayconnect.desktop.prompts.prompter import ChainPrompter
from trayconnect.desktop.prompts.window_prompter import WindowPrompter

LIMIT = 120.0
"""Seconds to wait for anything; also for an answer, so that a broken test ends."""
FINGERPRINT = "SHA256:uNiVztksCsDhcc0u9e8BrFRx9xyEpLN8vvpLjU5qRrE"
PASSWORD = Question(
    QuestionKind.PASSWORD,
    "GPU box",
    "Password for ada@gpu.example.org",
    "",
    (Field("Password"),),
    "Log in",
    can_remember=True,
)
HOST_KEY = Question(
    QuestionKind.HOST_KEY,
    "GPU box",
    "Is this really gpu.example.org?",
    f"Its ED25519 key has the fingerprint\n\n{FINGERPRINT}",
    confirm="Trust it",
)


PASSPHRASE = Question(
    QuestionKind.PASSPHRASE, "GPU box", "Passphrase for id_ed25519", "", (Field("Passphrase"),)
)
THREE_FIELDS = Question(
    QuestionKind.KEYBOARD_INTERACTIVE,
    "GPU box",
    "Log in",
    "Duo two-factor login\n\nLeave the code empty for a push.",
    (Field("User", secret=False), Field("Code:"), Field("Site", secret=False)),
)
PRIVATE_KEY = Question(
    QuestionKind.PRIVATE_KEY,
    "GPU box",
    "Paste the key",
    "",
    (Field("Private key", multiline=True),),
)
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----\n"
TITLE = window_title(PASSWORD)


def prompter(
    icon: Path | None = None, guard: float = 0.0, show_limit: float = LIMIT
) -> ChainPrompter:
    """By our window alone, with no guard unless one is given: the tests type at once."""
    way = WindowPrompter(icon, limit=LIMIT, guard=guard, show_limit=show_limit)
    return ChainPrompter(lambda: [way])


@pytest.fixture(scope="module")
def screen() -> Iterator[XServer]:
    with XServer() as server:
        yield server


@pytest.fixture(autouse=True)
def display(screen: XServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", screen.display)


def children() -> set[str]:
    """The processes that any of our threads started and nobody reaped."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {pid for task in tasks for pid in task.read_text().split()}


class Asked:
    """A question on the screen."""

    def __init__(
        self,
        screen: XServer,
        question: Question,
        answer: Future[Answer | None],
        cancel: CancelToken,
    ) -> None:
        self.title = window_title(question)
        self.answer = answer
        self.cancel = cancel
        self._screen = screen

    def wait_shown(self) -> None:
        """Until its window has the keyboard: a key before that would go nowhere."""
        self._screen.wait_focus(self._screen.wait_window(self.title, LIMIT), LIMIT)

    def press_until_taken(self, key: str, *modifiers: str) -> None:
        """What was pasted may still be under way, and then nothing answers."""

        def press() -> bool:
            self._screen.key(key, *modifiers)
            return self._screen.find_window(self.title) is None

        wait_for(press, "the answer to be taken", LIMIT)

    def result(self) -> Answer | None:
        answer = self.answer.result(LIMIT)
        self._screen.wait_no_window(self.title, LIMIT)
        return answer


class Ask(Protocol):
    def __call__(
        self, question: Question, by: Prompter | None = None, on: XServer | None = None
    ) -> Asked: ...


@pytest.fixture
def asker(screen: XServer) -> Iterator[Ask]:
    """Asks in the background; withdraws what is left at the end."""
    with ThreadPoolExecutor() as pool, ExitStack() as stack:

        def ask(question: Question, by: Prompter | None = None, on: XServer | None = None) -> Asked:
            cancel = CancelToken()
            stack.callback(cancel.set)
            answer = pool.submit((by or prompter()).ask, question, cancel)
            return Asked(on or screen, question, answer, cancel)

        yield ask
    assert not [title for _, title in screen.windows() if "GPU box" in title]


@pytest.fixture
def copied(screen: XServer) -> Iterator[Callable[[str], None]]:
    """Copies a text to the clipboard, as another program does."""
    with ExitStack() as stack:

        def copy(text: str) -> None:
            command = ["xclip", "-quiet", "-selection", "clipboard"]
            owner = stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
            )
            stack.callback(owner.kill)
            assert owner.stdin is not None
            owner.stdin.write(text.encode())
            owner.stdin.close()
            wait_for(lambda: screen.selection("CLIPBOARD") == text, "the text to be copied")

        yield copy


def test_a_password_is_typed(screen: XServer, asker: Ask) -> None:
    asked = asker(PASSWORD)
    asked.wait_shown()
    screen.type("S3cret-word")
    screen.key("Return")
    assert asked.result() == Answer(("S3cret-word",), remember=False)


def test_it_can_be_remembered_by_keyboard_alone(screen: XServer, asker: Ask) -> None:
    asked = asker(PASSWORD)
    asked.wait_shown()
    screen.type("x")
    screen.key("Tab")
    screen.key("space")
    screen.key("Return")
    assert asked.result() == Answer(("x",), remember=True)


@pytest.mark.parametrize("question", [PASSWORD, PASSPHRASE])
def test_an_empty_secret_is_no_answer(screen: XServer, asker: Ask, question: Question) -> None:
    asked = asker(question)
    asked.wait_shown()
    screen.key("Return")
    screen.type("x")
    screen.key("Return")
    assert asked.result() == Answer(("x",))


def test_return_goes_through_the_fields_and_an_empty_one_answers(
    screen: XServer, asker: Ask
) -> None:
    asked = asker(THREE_FIELDS)
    asked.wait_shown()
    screen.type("ada")
    screen.key("Return")
    screen.key("Return")
    screen.type("hq")
    screen.key("Return")
    assert asked.result() == Answer(("ada", "", "hq"))


def test_tab_goes_through_the_fields(screen: XServer, asker: Ask) -> None:
    asked = asker(THREE_FIELDS)
    asked.wait_shown()
    for text in ("ada", "123456", "hq"):
        screen.type(text)
        screen.key("Tab")
    screen.key("Return")
    assert asked.result() == Answer(("ada", "123456", "hq"))


def test_a_code_is_typed(screen: XServer, asker: Ask) -> None:
    fields = (Field("Verification code:"),)
    asked = asker(Question(QuestionKind.ONE_TIME_CODE, "GPU box", "One-time code", "", fields))
    asked.wait_shown()
    screen.type("123456")
    screen.key("KP_Enter")
    assert asked.result() == Answer(("123456",))


def test_a_password_is_pasted_without_the_end_of_its_line(
    screen: XServer, asker: Ask, copied: Callable[[str], None]
) -> None:
    copied("S3cret\n")
    asked = asker(PASSWORD)
    asked.wait_shown()
    screen.type("wrong")
    screen.key("a", "Control_L")  # selects all, and what is pasted takes its place
    screen.key("v", "Control_L")
    asked.press_until_taken("Return")
    assert asked.result() == Answer(("S3cret",))


def test_characters_show_on_request_only(
    screen: XServer, asker: Ask, copied: Callable[[str], None]
) -> None:
    copied("nothing")

    def copies() -> str:
        screen.key("a", "Control_L")
        screen.key("c", "Control_L")
        return screen.selection("CLIPBOARD")

    asked = asker(PASSPHRASE)
    asked.wait_shown()
    screen.type("S3cret")
    assert "S3cret" not in copies()
    screen.key("Tab")
    screen.key("space")
    screen.key("Tab", "Shift_L")
    wait_for(lambda: copies() == "S3cret", "the characters to show")
    screen.key("Return")
    assert asked.result() == Answer(("S3cret",))


def test_caps_lock_is_told(screen: XServer, asker: Ask) -> None:
    asked = asker(PASSPHRASE)
    asked.wait_shown()
    window = screen.wait_window(asked.title)
    screen.type("x")
    before = window.get_geometry().height
    try:
        screen.key("Caps_Lock")
        wait_for(lambda: window.get_geometry().height > before, "the warning")
        screen.type("y")
        screen.key("Tab")
    finally:
        screen.key("Caps_Lock")
    wait_for(lambda: window.get_geometry().height == before, "the warning to go")
    screen.key("Return")
    assert asked.result() == Answer(("xY",))


def test_a_private_key_is_pasted(
    screen: XServer, asker: Ask, copied: Callable[[str], None]
) -> None:
    copied(KEY)
    asked = asker(PRIVATE_KEY)
    asked.wait_shown()
    screen.type("wrong")
    screen.key("a", "Control_L")
    screen.key("v", "Control_L")
    asked.press_until_taken("Return", "Control_L")
    assert asked.result() == Answer((KEY,))


def test_the_longest_key_is_pasted(
    screen: XServer, asker: Ask, copied: Callable[[str], None]
) -> None:
    longest = "x" * (LONGEST_VALUE - 2) + "\n"
    copied(longest)
    asked = asker(PRIVATE_KEY)
    asked.wait_shown()
    screen.key("v", "Control_L")
    asked.press_until_taken("Return", "Control_L")
    assert asked.result() == Answer((longest,))


def test_a_longer_one_is_no_answer(
    screen: XServer, asker: Ask, copied: Callable[[str], None]
) -> None:
    copied("x" * (LONGEST_VALUE + 1))
    asked = asker(PRIVATE_KEY)
    asked.wait_shown()
    screen.key("v", "Control_L")
    screen.key("Return", "Control_L")
    screen.close_window(asked.title)
    assert asked.result() is None


def test_a_hidden_key_is_not_copied(
    screen: XServer, asker: Ask, copied: Callable[[str], None]
) -> None:
    copied("before")
    asked = asker(PRIVATE_KEY)
    asked.wait_shown()
    screen.type("S3cret")
    for key in ("a", "c", "x"):
        screen.key(key, "Control_L")
    screen.key("Return", "Control_L")
    assert asked.result() == Answer(("S3cret\n",))
    assert screen.selection("CLIPBOARD") == "before"


@pytest.mark.parametrize("question", [PASSWORD, HOST_KEY])
def test_escape_declines(screen: XServer, asker: Ask, question: Question) -> None:
    asked = asker(question)
    asked.wait_shown()
    screen.key("Escape")
    assert asked.result() is None


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        (("Return",), None),
        (("KP_Enter",), None),
        (("space",), None),
        (("Tab", "Return"), Answer()),
        (("Tab", "space"), Answer()),
        (("Tab", "Tab", "Return"), None),
        (("y", "Return"), None),
    ],
)
def test_a_host_key_is_trusted_on_purpose_only(
    screen: XServer, asker: Ask, keys: tuple[str, ...], answer: Answer | None
) -> None:
    asked = asker(HOST_KEY)
    asked.wait_shown()
    for key in keys:
        screen.key(key)
    assert asked.result() == answer


def test_closing_the_window_declines(screen: XServer, asker: Ask) -> None:
    asked = asker(PASSWORD)
    asked.wait_shown()
    screen.type("x")
    screen.close_window(asked.title)
    assert asked.result() is None


def test_a_cancel_withdraws_the_window(screen: XServer, asker: Ask) -> None:
    before = children()
    asked = asker(PASSWORD)
    asked.wait_shown()
    assert len(children() - before) == 1
    asked.cancel.set()
    assert asked.result() is None
    assert children() <= before


def test_questions_queue(screen: XServer, asker: Ask) -> None:
    one = prompter()
    first = asker(PASSWORD, one)
    first.wait_shown()
    second = asker(HOST_KEY, one)
    withdrawn = asker(HOST_KEY, one)
    withdrawn.cancel.set()
    assert withdrawn.answer.result(LIMIT) is None
    assert [title for _, title in screen.windows() if "GPU box" in title] == [TITLE]
    screen.type("x")
    screen.key("Return")
    assert first.answer.result(LIMIT) == Answer(("x",))
    second.wait_shown()
    screen.key("Escape")
    assert second.result() is None


def test_the_fingerprint_can_be_copied(screen: XServer, asker: Ask) -> None:
    asked = asker(HOST_KEY)
    asked.wait_shown()
    window = screen.wait_window(asked.title)
    root = window.translate_coords(screen.client.screen().root, 0, 0)
    size = window.get_geometry()
    screen.click(size.width // 2 - root.x, size.height // 2 - root.y)
    screen.key("slash", "Control_L")  # Tk's "select all"
    screen.key("c", "Control_L")
    wait_for(lambda: FINGERPRINT in screen.selection("CLIPBOARD"), "the copied text")
    screen.key("Escape")
    assert asked.result() is None


def test_it_grows_with_the_density_of_the_screen(screen: XServer, asker: Ask) -> None:
    widths = []
    for resources in ("Xft.dpi:\t192\n", ""):
        screen.set_resources(resources)
        asked = asker(HOST_KEY)
        asked.wait_shown()
        widths.append(screen.wait_window(asked.title).get_geometry().width)
        asked.cancel.set()
        assert asked.result() is None
    assert widths[0] == pytest.approx(2 * widths[1], rel=0.1)


def test_a_long_question_fits_the_screen(screen: XServer, asker: Ask) -> None:
    banner = "\n".join(f"line {number} of a banner" for number in range(200))
    title = "A verification code of a very long-winded server " * 3
    fields = (Field("Code"),)
    asked = asker(Question(QuestionKind.PASSWORD, "GPU box", title, banner, fields))
    asked.wait_shown()
    geometry = screen.wait_window(asked.title).get_geometry()
    assert geometry.height <= 600
    assert geometry.width <= 1024
    asked.cancel.set()
    assert asked.result() is None


def test_with_an_icon(screen: XServer, asker: Ask, tmp_path: Path) -> None:
    icon = tmp_path / "icon.png"
    Image.new("RGBA", (32, 32), "orange").save(icon)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    for path in (icon, tmp_path / "broken.png", tmp_path / "missing.png"):
        asked = asker(PASSWORD, prompter(path))
        asked.wait_shown()
        has_icon = screen.property(asked.title, "_NET_WM_ICON") is not None
        assert has_icon is (path == icon)
        asked.cancel.set()
        assert asked.result() is None


SHOWN = "import os, sys; os.write(1, b'shown\\n'); "


def way(script: str, limit: float = LIMIT, show_limit: float = LIMIT) -> WindowPrompter:
    """A helper that is this Python script."""
    command = [sys.executable, "-c", script]
    return WindowPrompter(command=command, limit=limit, show_limit=show_limit)


@pytest.mark.parametrize(
    "script",
    [
        "print('garbage')",
        "raise SystemExit(3)",
        "import os; os.abort()",
        "pass",
        "import time; time.sleep(60)",  # the display hangs
    ],
)
def test_a_window_that_breaks_before_it_is_seen_was_not_shown(script: str) -> None:
    before = children()
    with pytest.raises(NotShownError):
        way(script, show_limit=0.5).ask(PASSWORD, CancelToken())
    assert children() <= before


@pytest.mark.parametrize(
    "script",
    [
        "print('garbage')",
        "raise SystemExit(3)",
        "os.abort()",
        "pass",
        'print(\'{"values": [], "remember": false}\')',
    ],
)
def test_a_window_that_breaks_after_it_was_seen_is_a_problem(script: str) -> None:
    before = children()
    with pytest.raises(ProblemError, match="crashed") as caught:
        way(SHOWN + script).ask(PASSWORD, CancelToken())
    assert caught.value.problem.recovery is Recovery.USER_ACTION
    assert "GPU box" in caught.value.problem.title
    assert children() <= before


def test_a_window_that_cannot_start_was_not_shown() -> None:
    with pytest.raises(NotShownError, match="/nowhere/python"):
        WindowPrompter(command=["/nowhere/python"]).ask(PASSWORD, CancelToken())


def test_on_a_dead_display_nothing_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":4711")
    with pytest.raises(NotShownError, match="display"):
        WindowPrompter().ask(PASSWORD, CancelToken())


def test_a_window_that_shows_is_told_before_it_is_answered(screen: XServer, asker: Ask) -> None:
    """Or a slow answer would be taken for a display that hangs."""
    limit = 15.0  # a busy machine takes seconds to show it
    asked = asker(PASSWORD, prompter(show_limit=limit))
    asked.wait_shown()
    time.sleep(limit)  # more have passed since it was asked for
    screen.type("x")
    screen.key("Return")
    assert asked.result() == Answer(("x",))


def test_a_question_that_nobody_answers_is_withdrawn() -> None:
    before = children()
    with pytest.raises(ProblemError, match="nobody answered") as caught:
        way(SHOWN + "import time; time.sleep(60)", limit=1.0).ask(PASSWORD, CancelToken())
    assert "Connect again" in caught.value.problem.advice
    assert children() <= before


def test_a_cancelled_question_is_never_shown(screen: XServer) -> None:
    cancel = CancelToken()
    cancel.set()
    before = children()
    with pytest.raises(Cancelled):
        WindowPrompter().ask(PASSWORD, cancel)
    assert children() <= before
    assert screen.find_window(TITLE) is None


# --- beside other windows -------------------------------------------------------------------------


@pytest.fixture
def managed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[XServer]:
    """A screen with a window manager, and another program's window that has the keyboard."""
    with XServer() as managed, window_manager(managed, tmp_path):
        monkeypatch.setenv("DISPLAY", managed.display)
        root = managed.client.screen().root
        other = root.create_window(0, 0, 900, 550, 0, managed.client.screen().root_depth)
        other.set_wm_name("other")

        def is_shown() -> bool:
            other.map()  # again: openbox loses a window that comes while it starts
            managed.client.sync()
            return managed.find_window("other") is not None

        wait_for(is_shown, "another program's window")
        managed.focus(other)
        yield managed


def on_top(screen: XServer) -> str:
    """The title of the window in front."""
    stacking = screen.client.screen().root.get_full_property(
        screen.client.intern_atom("_NET_CLIENT_LIST_STACKING"), X.AnyPropertyType
    )
    return screen.title(screen.client.create_resource_object("window", stacking.value[-1]))


def test_it_comes_to_the_front_and_takes_the_keyboard(managed: XServer, asker: Ask) -> None:
    asked = asker(PASSWORD, on=managed)
    asked.wait_shown()
    wait_for(lambda: on_top(managed) == asked.title, "the prompt to be on top")
    managed.type("x")
    managed.key("Return")
    assert asked.result() == Answer(("x",))


def test_one_that_was_lost_sight_of_comes_back_when_it_is_called(
    managed: XServer, asker: Ask
) -> None:
    by = prompter()
    by.bring_to_front()  # nothing is asked, and nothing happens
    asked = asker(PASSWORD, by, managed)
    asked.wait_shown()
    managed.type("x")
    other = managed.wait_window("other")
    managed.raise_window(other)
    wait_for(lambda: on_top(managed) == "other", "the other window to be on top")
    by.bring_to_front()
    wait_for(lambda: on_top(managed) == asked.title, "the prompt to be on top again")
    asked.wait_shown()
    managed.type("y")
    managed.key("Return")
    assert asked.result() == Answer(("xy",))


@pytest.mark.parametrize("question", [PASSWORD, HOST_KEY])
def test_what_was_being_typed_elsewhere_answers_nothing(
    managed: XServer, asker: Ask, question: Question
) -> None:
    asked = asker(question, prompter(guard=30.0), managed)
    managed.wait_window(asked.title)
    managed.type("rld")
    for key in ("Return", "KP_Enter", "Escape", "Tab", "space", "Return"):
        managed.key(key)
    managed.wait_focus(managed.wait_window(asked.title))
    managed.close_window(asked.title)
    assert asked.result() is None


def test_after_a_pause_what_is_typed_answers_in_place_of_the_rest(
    managed: XServer, asker: Ask
) -> None:
    guard = 4.0
    asked = asker(PASSWORD, prompter(guard=guard), managed)
    asked.wait_shown()
    managed.type("rest")
    managed.key("Return")  # of another window's sentence
    managed.wait_seen(managed.wait_window(asked.title))
    time.sleep(guard)  # the pause
    managed.type("S3cret")
    managed.key("Return")
    assert asked.result() == Answer(("S3cret",))
