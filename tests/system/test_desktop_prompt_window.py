"""The prompt window, typed into for real."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest
from PIL import Image

from tests.support.xvfb import XServer, wait_for
from trayconnect.cancel import Cancel
from trayconnect.desktop.prompt_gui import WindowPrompter
from trayconnect.errors import ProblemError, Remedy
from trayconnect.ports import Answer, Field, Question, QuestionKind

LIMIT = 60.0
"""Seconds to wait for anything; also for an answer, so that a broken test ends."""
TITLE = "trayconnect: GPU box"
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
        answer: Future[Answer | None],
        cancel: Cancel,
    ) -> None:
        self.answer = answer
        self.cancel = cancel
        self._screen = screen

    def wait_shown(self) -> None:
        """Until its window has the keyboard: a key before that would go nowhere."""
        self._screen.wait_focus(self._screen.wait_window(TITLE, LIMIT), LIMIT)

    def result(self) -> Answer | None:
        answer = self.answer.result(LIMIT)
        self._screen.wait_no_window(TITLE, LIMIT)
        return answer


class Ask(Protocol):
    def __call__(self, question: Question, prompter: WindowPrompter | None = None) -> Asked: ...


@pytest.fixture
def asker(screen: XServer) -> Iterator[Ask]:
    """Asks in the background; withdraws what is left at the end."""
    with ThreadPoolExecutor() as pool, ExitStack() as stack:

        def ask(question: Question, prompter: WindowPrompter | None = None) -> Asked:
            cancel = Cancel()
            stack.callback(cancel.set)
            ask = (prompter or WindowPrompter(limit=LIMIT)).ask
            return Asked(screen, pool.submit(ask, question, cancel), cancel)

        yield ask
    screen.wait_no_window(TITLE)


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


def test_an_empty_password_is_no_answer(screen: XServer, asker: Ask) -> None:
    asked = asker(PASSWORD)
    asked.wait_shown()
    screen.key("Return")
    screen.type("x")
    screen.key("Return")
    assert asked.result() == Answer(("x",))


def test_two_fields(screen: XServer, asker: Ask) -> None:
    fields = (Field("User", secret=False), Field("Code"))
    asked = asker(Question(QuestionKind.PASSWORD, "GPU box", "Log in", "", fields))
    asked.wait_shown()
    screen.type("ada")
    screen.key("Tab")
    screen.type("123")
    screen.key("Return")
    assert asked.result() == Answer(("ada", "123"))


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
    screen.close_window(TITLE)
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
    prompter = WindowPrompter(limit=LIMIT)
    first = asker(PASSWORD, prompter)
    first.wait_shown()
    second = asker(HOST_KEY, prompter)
    withdrawn = asker(HOST_KEY, prompter)
    withdrawn.cancel.set()
    assert withdrawn.answer.result(LIMIT) is None
    assert [title for _, title in screen.windows()].count(TITLE) == 1
    screen.type("x")
    screen.key("Return")
    assert first.answer.result(LIMIT) == Answer(("x",))
    second.wait_shown()
    screen.key("Escape")
    assert second.result() is None


def test_the_fingerprint_can_be_copied(screen: XServer, asker: Ask) -> None:
    asked = asker(HOST_KEY)
    asked.wait_shown()
    window = screen.wait_window(TITLE)
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
        widths.append(screen.wait_window(TITLE).get_geometry().width)
        asked.cancel.set()
        assert asked.result() is None
    assert widths[0] == pytest.approx(2 * widths[1], rel=0.1)


def test_a_long_question_fits_the_screen(screen: XServer, asker: Ask) -> None:
    banner = "\n".join(f"line {number} of a banner" for number in range(200))
    title = "A verification code of a very long-winded server " * 3
    fields = (Field("Code"),)
    asked = asker(Question(QuestionKind.PASSWORD, "GPU box", title, banner, fields))
    asked.wait_shown()
    geometry = screen.wait_window(TITLE).get_geometry()
    assert geometry.height <= 600
    assert geometry.width <= 1024
    asked.cancel.set()
    assert asked.result() is None


def test_with_an_icon(screen: XServer, asker: Ask, tmp_path: Path) -> None:
    icon = tmp_path / "icon.png"
    Image.new("RGBA", (32, 32), "orange").save(icon)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    for path in (icon, tmp_path / "broken.png", tmp_path / "missing.png"):
        asked = asker(PASSWORD, WindowPrompter(path, limit=LIMIT))
        asked.wait_shown()
        has_icon = screen.property(TITLE, "_NET_WM_ICON") is not None
        assert has_icon is (path == icon)
        asked.cancel.set()
        assert asked.result() is None


@pytest.mark.parametrize(
    "script",
    [
        "print('garbage')",
        "raise SystemExit(3)",
        "import os; os.abort()",
        "pass",
        'print(\'{"values": [], "remember": false}\')',
    ],
)
def test_a_window_that_breaks_is_a_problem(script: str) -> None:
    before = children()
    prompter = WindowPrompter(command=[sys.executable, "-c", script])
    with pytest.raises(ProblemError, match="could not be shown") as caught:
        prompter.ask(PASSWORD, Cancel())
    assert caught.value.problem.remedy is Remedy.USER
    assert "GPU box" in caught.value.problem.title
    assert children() <= before


def test_a_window_that_cannot_start_is_a_problem() -> None:
    with pytest.raises(ProblemError, match="could not be shown"):
        WindowPrompter(command=["/nowhere/python"]).ask(PASSWORD, Cancel())


def test_a_dead_display_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":4711")
    with pytest.raises(ProblemError, match="could not be shown") as caught:
        WindowPrompter().ask(PASSWORD, Cancel())
    assert "display" in caught.value.problem.detail


def test_a_question_that_nobody_answers_is_withdrawn() -> None:
    before = children()
    prompter = WindowPrompter(
        command=[sys.executable, "-c", "import time; time.sleep(60)"], limit=0.2
    )
    with pytest.raises(ProblemError, match="nobody answered"):
        prompter.ask(PASSWORD, Cancel())
    assert children() <= before


def test_a_cancelled_question_is_never_shown(screen: XServer) -> None:
    cancel = Cancel()
    cancel.set()
    before = children()
    assert WindowPrompter().ask(PASSWORD, cancel) is None
    assert children() <= before
    assert screen.find_window(TITLE) is None
