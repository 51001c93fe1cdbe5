"""The Windows adapter, and pystray's own code for Windows below it, over a stand-in for Win32 that
minds the thread of every call."""

from __future__ import annotations

import io
import queue
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from PIL import Image

from tests.support import fake_win32
from tests.support.fake_win32 import (
    WM_CHOICE,
    WM_NOTIFY,
    WM_RBUTTONUP,
    WM_TASKBARCREATED,
    Library,
    Windows,
)
from tests.support.tray_adapters import (
    COPY,
    GLYPH,
    ITEMS,
    LIMIT,
    OPEN,
    QUIT,
    VIEW,
    SoonTimer,
    adapter,
    drawn,
)
from trayconnect.core.command import Command
from trayconnect.tray.backends import win32_system
from trayconnect.tray.icon import FRAMES, Glyph
from trayconnect.tray.text import windows_label
from trayconnect.tray.tray_icon import TrayIcon
from trayconnect.tray.view import IconState, Item, View


@dataclass
class Win32:
    windows: Windows
    make: Callable[[], Any]

    @contextmanager
    def running(
        self, view: View = VIEW, on_command: Callable[[Command], object] = print
    ) -> Iterator[tuple[TrayIcon, Any]]:
        icon = self.make()
        tray = TrayIcon(icon, on_command, label=windows_label, make_timer=SoonTimer)
        tray.show(view)
        thread = threading.Thread(target=tray.run, name="tc-test-tray")
        thread.start()
        try:
            assert self.windows.appeared.wait(LIMIT)
            drawn(icon)
            yield tray, icon
        finally:
            tray.stop()
            thread.join(LIMIT)
            assert not thread.is_alive()
        left = self.windows.windows, self.windows.menus, self.windows.icons, self.windows.shown
        assert left == (set(), {}, {}, None)

    @property
    def shown(self) -> dict[str, Any]:
        assert self.windows.shown is not None
        return self.windows.shown


@pytest.fixture
def win32(monkeypatch: pytest.MonkeyPatch) -> Iterator[Win32]:
    windows, base = fake_win32.install(monkeypatch)
    module = adapter("win32", base, monkeypatch)
    yield Win32(windows, lambda: module.WindowsIcon("test", GLYPH, ""))
    assert windows.wrong == []


def resource(state: IconState, side: int, frame: int = 0) -> tuple[bytes, int]:
    return win32_system.icon_resource(Glyph(state, frame=frame), side), side


def test_windows_draws_on_its_own_thread(win32: Win32) -> None:
    with win32.running() as (tray, icon):
        assert win32.shown == {"icon": resource(IconState.UP, 20), "tip": "connected"}
        tray.show(View(IconState.FAILED, "x" * 300, (Item("a", "again", OPEN),)))
        drawn(icon)
        assert win32.shown["icon"] == resource(IconState.FAILED, 20)
        assert win32.shown["tip"] == "x" * 126 + "…"
        assert [line.dwTypeData for line in win32.windows.lines()] == ["again"]
        assert len(win32.windows.menus) == len(win32.windows.icons) == 1, "the old are destroyed"


def test_the_windows_menu(win32: Win32) -> None:
    with win32.running():
        lines = win32.windows.lines()
        assert [line.dwTypeData for line in lines] == [
            "R && D: connected", "    signed in", None, "More", "Quit",
        ]  # fmt: skip
        assert [line.fState for line in lines] == [8, 3, 0, 0, 0], "checked and greyed"
        assert lines[2].fType == 0x800
        (inside,) = win32.windows.menus[lines[3].hSubMenu]
        assert inside.dwTypeData == "Copy link"


def test_a_click_in_the_windows_menu(win32: Win32) -> None:
    clicked: queue.SimpleQueue[Command] = queue.SimpleQueue()
    with win32.running(on_command=clicked.put):
        lines = win32.windows.lines()
        (inside,) = win32.windows.menus[lines[3].hSubMenu]
        for line, action in ((lines[0], OPEN), (inside, COPY), (lines[4], QUIT)):
            win32.windows.send(WM_NOTIFY, lparam=WM_RBUTTONUP)
            win32.windows.send(WM_CHOICE, line.wID)
            assert clicked.get(timeout=LIMIT) == action


@pytest.mark.parametrize("click", [0x0202, 0x0205], ids=["left", "right"])
def test_windows_leaves_an_open_menu_alone(win32: Win32, click: int) -> None:
    clicked: queue.SimpleQueue[Command] = queue.SimpleQueue()
    with win32.running(on_command=clicked.put) as (tray, icon):
        first = win32.windows.lines()[0].wID
        win32.windows.send(WM_NOTIFY, lparam=0x0200)  # the pointer moves: nothing
        win32.windows.send(WM_NOTIFY, lparam=click)
        assert win32.windows.opened.wait(LIMIT)
        tray.show(View(IconState.CONNECTING, items=ITEMS[4:], attempt_since=1.0))
        done = threading.Event()
        icon.post(done.set)
        win32.windows.send(WM_NOTIFY, lparam=click)  # a second click: nothing
        win32.windows.send(WM_CHOICE, first)
        assert clicked.get(timeout=LIMIT) == OPEN
        assert done.wait(LIMIT), "what waited is done when the menu is closed"
        assert [line.dwTypeData for line in win32.windows.lines()] == ["Quit"]


def test_windows_ends_while_a_menu_is_open(win32: Win32) -> None:
    with win32.running():
        win32.windows.send(WM_NOTIFY, lparam=WM_RBUTTONUP)
        assert win32.windows.opened.wait(LIMIT)


def test_windows_keeps_one_handle_while_the_icon_moves(win32: Win32) -> None:
    with win32.running(View(IconState.CONNECTING, attempt_since=1.0)) as (tray, icon):
        seen = set[tuple[bytes, int]]()
        while len(seen) < FRAMES:
            icon.post(lambda: seen.add(win32.shown["icon"]))
            drawn(icon)
        assert seen == {resource(IconState.CONNECTING, 20, frame) for frame in range(FRAMES)}
        tray.show(View(IconState.CONNECTING))
        drawn(icon)
        assert win32.shown["icon"] == resource(IconState.CONNECTING, 20)
        assert len(win32.windows.icons) == 1


@pytest.mark.parametrize("message", [0x007E, 0x02E0, 0x001A], ids=["display", "dpi", "setting"])
def test_windows_takes_the_picture_for_the_new_scaling(win32: Win32, message: int) -> None:
    with win32.running() as (_, icon):
        before = win32.windows.calls.count("Shell_NotifyIconW")
        win32.windows.send(message)
        drawn(icon)
        assert win32.windows.calls.count("Shell_NotifyIconW") == before, "nothing has changed"
        win32.windows.dpi = 192
        win32.windows.send(message)
        drawn(icon)
        assert win32.shown["icon"] == resource(IconState.UP, 32)


def test_windows_shows_the_icon_again_when_explorer_restarts(win32: Win32) -> None:
    with win32.running() as (_, icon):
        win32.windows.shown, win32.windows.dpi = None, 144
        win32.windows.send(WM_TASKBARCREATED)
        drawn(icon)
        assert win32.shown == {"icon": resource(IconState.UP, 24), "tip": "connected"}


def test_a_taskbar_that_is_busy_at_login(win32: Win32) -> None:
    with win32.running() as (_, icon):
        win32.windows.shown, win32.windows.busy = None, 2
        win32.windows.send(WM_TASKBARCREATED)
        drawn(icon)
        for timers, shown in (({1}, False), (set(), True)):
            assert win32.windows.timers == {1}
            win32.windows.send(0x0113, 1)
            drawn(icon)
            assert (win32.windows.timers, win32.windows.shown is not None) == (timers, shown)


def test_a_taskbar_that_took_the_icon_and_did_not_say_so(win32: Win32) -> None:
    with win32.running() as (_, icon):
        win32.windows.send(WM_TASKBARCREATED)
        drawn(icon)
        assert win32.windows.timers == set()
        assert win32.shown["icon"] == resource(IconState.UP, 20)


def test_a_taskbar_that_never_takes_the_icon(win32: Win32) -> None:
    with win32.running() as (_, icon):
        win32.windows.shown, win32.windows.busy = None, 1000
        win32.windows.send(WM_TASKBARCREATED)
        for _ in range(30):
            drawn(icon)
            assert win32.windows.timers == {1}
            win32.windows.send(0x0113, 1)
        drawn(icon)
        assert win32.windows.timers == set()


def test_windows_may_log_out(win32: Win32) -> None:
    answers: list[int] = []
    with win32.running() as (_, icon):
        window = win32.windows.window
        icon.post(lambda: answers.append(win32.windows.dispatch(window, 0x0011, 0, 0)))
        win32.windows.send(0x0016, 0)  # it is called off
        for _ in range(2):  # whatever came of that is done by the second time
            drawn(icon)
    assert answers == [1]


@pytest.mark.parametrize(
    ("message", "wparam"), [(0x0016, 1), (0x0010, 0)], ids=["session", "close"]
)
def test_windows_ends_with_the_session_or_when_asked(
    win32: Win32, message: int, wparam: int
) -> None:
    with win32.running() as (_, icon):
        win32.windows.send(message, wparam)
        icon._thread.join(LIMIT)
        assert not icon._thread.is_alive()


def test_the_message_that_the_session_ends_is_answered_when_all_is_done(win32: Win32) -> None:
    done: list[str] = []
    with win32.running() as (_, icon):
        window = win32.windows.window
        icon._on_session_end = lambda: done.append("sessions closed")

        def end() -> None:
            win32.windows.dispatch(window, 0x0016, 1, 0)
            done.append("answered")

        icon.post(end)
        icon._thread.join(LIMIT)
    assert done == ["sessions closed", "answered"]


def test_a_windows_notification(win32: Win32) -> None:
    with win32.running() as (tray, icon):
        tray.notify("the text", "the title")
        drawn(icon)
        assert win32.shown["info"] == ("the text", "the title")


def test_a_step_that_fails_does_not_hold_up_the_next(
    win32: Win32, caplog: pytest.LogCaptureFixture
) -> None:
    with win32.running() as (tray, icon):
        tray.notify("x" * 300, "more than Windows takes")
        tray.show(replace(VIEW, title="after"))
        drawn(icon)
        assert win32.shown["tip"] == "after"
    assert "could not do a step" in caplog.text


@pytest.mark.parametrize(
    ("absent", "last"),
    [
        (set(), "SetProcessDpiAwarenessContext"),
        ({"SetProcessDpiAwarenessContext"}, "SetProcessDpiAwareness"),
        ({"SetProcessDpiAwarenessContext", "SetProcessDpiAwareness"}, "SetProcessDPIAware"),
    ],
)
def test_the_scaling_is_asked_for_once(win32: Win32, absent: set[str], last: str) -> None:
    win32.windows.absent = absent
    win32.make()
    assert [c for c in win32.windows.calls if c.startswith("SetProcess")] == [last]
    assert win32.windows.calls.index(last) < win32.windows.calls.index("RegisterClassExW")


def test_a_windows_without_any_scaling(win32: Win32) -> None:
    win32.windows.absent = {
        "SetProcessDpiAwarenessContext", "SetProcessDpiAwareness", "SetProcessDPIAware",
        "GetDpiForWindow",
    }  # fmt: skip
    with win32.running():
        assert win32.shown["icon"] == resource(IconState.UP, 16)


@pytest.mark.parametrize(
    ("dpi", "absent", "side"),
    [
        (96, set(), 16),
        (120, set(), 20),
        (192, set(), 32),
        (288, set(), 48),
        (0, set(), 16),  # no taskbar
        (192, {"GetDpiForWindow"}, 16),
        (192, {"GetSystemMetricsForDpi"}, 16),
    ],
)
def test_the_side_of_a_small_icon(dpi: int, absent: set[str], side: int) -> None:
    windows = Windows()
    windows.dpi, windows.absent = dpi, absent
    assert win32_system.small_icon_side(Library(windows)) == side


@pytest.mark.parametrize("side", [16, 20, 24, 32, 40, 48, 64])
@pytest.mark.parametrize("state", IconState)
def test_the_resource_is_an_icon(side: int, state: IconState) -> None:
    """In a file, it is read like any other."""
    bits = win32_system.icon_resource(Glyph(state), side)
    entry = struct.pack("<BBBBHHII", side, side, 0, 0, 1, 32, len(bits), 22)
    file = Image.open(io.BytesIO(struct.pack("<HHH", 0, 1, 1) + entry + bits))
    assert file.convert("RGBA").tobytes() == Glyph(state).at(side).tobytes()


def test_a_windows_that_makes_no_icon() -> None:
    windows = Windows()
    windows.CreateIconFromResourceEx = lambda *_: 0  # type: ignore[method-assign]
    with pytest.raises(OSError, match="makes no icon"):
        win32_system.create_icon(Library(windows), GLYPH, 16)
