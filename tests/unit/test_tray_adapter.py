"""The adapter over a pystray icon, and the menu it builds; the toolkit is a thread of the test."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest

from tests.support.tray_adapters import SoonTimer
from trayconnect.core.command import Command
from trayconnect.tray.backends import pystray_base
from trayconnect.tray.backends.pystray_base import menu_of
from trayconnect.tray.icon import FRAMES, Glyph
from trayconnect.tray.text import one_line
from trayconnect.tray.tray_icon import TrayIcon
from trayconnect.tray.view import IconState, Item, View

LIMIT = 90.0
CONNECT = Command("connect", "GPU box")
ITEM = Item("gpu", "GPU box: off", CONNECT, checked=False)


class Toolkit(pystray_base.Icon):  # type: ignore[misc]  # pystray is not annotated
    """Records what reaches it, and refuses every other thread than its own."""

    def __init__(self) -> None:
        super().__init__("test", Glyph(IconState.OFF), "")
        self.jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self.owner: threading.Thread | None = None
        self.calls: list[Any] = []
        self.shown = threading.Event()
        self.frames: list[int] = []
        self.moved = threading.Event()
        """As many pictures as a round has were drawn."""

    def post(self, job: Callable[[], None]) -> None:
        self.jobs.put(job)

    def _record(self, *call: Any) -> None:
        assert threading.current_thread() is self.owner
        self.calls.append(call)

    def _run(self) -> None:
        self.owner = threading.current_thread()
        self._mark_ready()
        while (job := self.jobs.get()) is not None:
            job()

    def _stop(self) -> None:
        self.jobs.put(None)

    def _show(self) -> None:
        self._record("show")
        self.shown.set()

    def _hide(self) -> None: ...

    def _update_icon(self) -> None:
        self._icon_valid = True
        self._record("icon", self.icon.state)
        self.frames.append(self.icon.frame)
        if len(self.frames) == FRAMES:
            self.moved.set()

    def _update_title(self) -> None:
        self._record("title", self.title)

    def _update_menu(self) -> None:
        self._record("menu", [line.text for line in self.menu or ()])


@contextmanager
def running(tray: TrayIcon) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=tray.run, name="tc-test-tray")
    thread.start()
    try:
        yield thread
    finally:
        tray.stop()
        thread.join(LIMIT)
        assert not thread.is_alive()
        assert not [t for t in threading.enumerate() if t.name.startswith("tc-tray")]


def done(toolkit: Toolkit) -> None:
    """Wait until everything that was posted has been done."""
    event = threading.Event()
    toolkit.post(event.set)
    assert event.wait(LIMIT)


def _wait(event: threading.Event) -> None:
    assert event.wait(LIMIT)


def test_what_is_shown_before_run_appears() -> None:
    toolkit = Toolkit()
    tray = TrayIcon(toolkit, print, label=one_line)
    tray.show(View(IconState.UP, "one up", (ITEM,)))
    with running(tray):
        assert toolkit.shown.wait(LIMIT)
        done(toolkit)
        assert (toolkit.icon.state, toolkit.title) == (IconState.UP, "one up")
        assert ("menu", ["GPU box: off"]) in toolkit.calls
        assert toolkit.visible


def test_only_what_changed_is_drawn() -> None:
    toolkit = Toolkit()
    tray = TrayIcon(toolkit, print, label=one_line)
    tray.show(View(IconState.OFF, "a", (ITEM,)))
    with running(tray):
        assert toolkit.shown.wait(LIMIT)
        done(toolkit)
        toolkit.calls.clear()
        for view in (
            View(IconState.OFF, "a", (ITEM,)),
            View(IconState.UP, "a", (ITEM,)),
            View(IconState.UP, "b", (ITEM,)),
            View(IconState.UP, "b", ()),
        ):
            tray.show(view)
            done(toolkit)
        assert toolkit.calls == [("icon", IconState.UP), ("title", "b"), ("menu", [])]


def test_a_step_that_fails_does_not_hold_up_the_next(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    toolkit = Toolkit()
    monkeypatch.setattr(toolkit, "notify", Mock(side_effect=ValueError("too long a text")))
    tray = TrayIcon(toolkit, print, label=one_line)
    with running(tray):
        tray.notify("the text", "the title")
        tray.show(View(IconState.OFF, "after"))
        done(toolkit)
        assert toolkit.title == "after"
    assert "could not do a step" in caplog.text


def test_an_attempt_moves_the_icon_until_it_is_over() -> None:
    toolkit = Toolkit()
    tray = TrayIcon(toolkit, print, label=one_line, make_timer=SoonTimer)
    tray.show(View(IconState.CONNECTING, attempt_since=1.0))
    with running(tray):
        assert toolkit.shown.wait(LIMIT)
        assert toolkit.moved.wait(LIMIT)
        tray.show(View(IconState.CONNECTING))
        done(toolkit)
        first = toolkit.frames[0]  # a busy machine draws the first picture late
        expected = [(first + step) % FRAMES for step in range(FRAMES)]
        assert toolkit.frames[:FRAMES] == expected
        assert toolkit.frames[-1] == 0
        assert not [t for t in threading.enumerate() if t.name == "tc-tray-animation"]
        toolkit.calls.clear()
        tray.show(View(IconState.UP))
        done(toolkit)
        assert toolkit.calls == [("icon", IconState.UP)]


def test_a_tray_may_end_while_it_moves() -> None:
    toolkit = Toolkit()
    tray = TrayIcon(toolkit, print, label=one_line)
    tray.show(View(IconState.CONNECTING, attempt_since=1.0))
    with running(tray):
        assert toolkit.shown.wait(LIMIT)
        assert [t for t in threading.enumerate() if t.name == "tc-tray-animation"]


def test_of_many_views_the_last_one_counts() -> None:
    toolkit = Toolkit()
    tray = TrayIcon(toolkit, print, label=one_line)
    with running(tray):
        assert toolkit.shown.wait(LIMIT)
        go_on = threading.Event()
        toolkit.post(partial(_wait, go_on))
        for number in range(10_000):
            tray.show(View(title=f"view {number}"))
        assert toolkit.jobs.qsize() <= 2
        go_on.set()
        done(toolkit)
        assert [call for call in toolkit.calls if call[0] == "title"] == [("title", "view 9999")]


def test_a_click_is_reported() -> None:
    toolkit = Toolkit()
    got: queue.SimpleQueue[Command] = queue.SimpleQueue()
    tray = TrayIcon(toolkit, got.put, label=one_line)
    tray.show(View(items=(ITEM,)))
    with running(tray):
        assert toolkit.shown.wait(LIMIT)
        toolkit.post(lambda: next(iter(toolkit.menu))(toolkit))
        assert got.get(timeout=LIMIT) == CONNECT


def test_an_action_may_stop_the_tray() -> None:
    toolkit = Toolkit()
    tray = TrayIcon(toolkit, lambda _action: tray.stop(), label=one_line)
    tray.show(View(items=(Item("quit", "Quit", Command("quit")),)))
    with running(tray) as thread:
        assert toolkit.shown.wait(LIMIT)
        toolkit.post(lambda: next(iter(toolkit.menu))(toolkit))
        thread.join(LIMIT)
        assert not thread.is_alive()


def test_stopping_before_running_and_twice() -> None:
    tray = TrayIcon(Toolkit(), print, label=one_line)
    tray.stop()
    with running(tray) as thread:
        thread.join(LIMIT)
        assert not thread.is_alive()
    tray.stop()


def test_a_tray_that_cannot_run_leaves_no_thread() -> None:
    class Broken(Toolkit):
        def _run(self) -> None:
            self._mark_ready()

        def _update_menu(self) -> None:
            raise ZeroDivisionError

    tray = TrayIcon(Broken(), print, label=one_line)
    with pytest.raises(ZeroDivisionError):
        tray.run()
    assert not [t for t in threading.enumerate() if t.name.startswith("tc-tray")]


def test_the_menu_of_a_view() -> None:
    items = (
        Item("first", separator=True),
        Item("a", "A", checked=True),
        Item("b", "B & C", enabled=False),
        Item("line", separator=True),
        Item("again", separator=True),
        Item("sub", "Sub", children=(Item("in", "Inside", CONNECT),)),
        Item("last", separator=True),
    )
    clicked: list[Command] = []
    a, b, line, sub = menu_of(items, clicked.append, lambda text: text.replace("&", "&&"))
    assert (a.key, a.text, a.checked, a.enabled, a.submenu) == ("a", "A", True, True, None)
    assert (b.text, b.checked, b.enabled) == ("B && C", None, False)
    assert line is pystray_base.Menu.SEPARATOR
    (inside,) = sub.submenu
    for item in (a, b, sub, inside):
        item(None)
    assert clicked == [CONNECT]
