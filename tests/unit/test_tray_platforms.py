"""The macOS and Windows adapters, and pystray's own code for those systems below them, over
stand-ins for AppKit and Win32 that mind the thread of every call."""

from __future__ import annotations

import importlib.util
import io
import queue
import signal
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from tests.support import fake_appkit, fake_win32
from tests.support.fake_appkit import Mac, NSImage, NSMenuItem
from tests.support.fake_win32 import (
    WM_CHOICE,
    WM_NOTIFY,
    WM_RBUTTONUP,
    WM_TASKBARCREATED,
    Library,
    Windows,
)
from trayconnect.tray import pystray_base, win32_system
from trayconnect.tray.animation import ThreadTimer
from trayconnect.tray.darwin import REMEMBERED, Lines, png
from trayconnect.tray.icon import FRAMES, Glyph
from trayconnect.tray.text import one_line, windows_label
from trayconnect.tray.tray_icon import TrayIcon
from trayconnect.tray.view import Action, IconState, Item, Verb, View

Untyped = Any
"""pystray's icons, and Cocoa's objects."""
LIMIT = 20.0
GLYPH = Glyph(IconState.OFF)
OPEN = Action(Verb.OPEN, "GPU box")
COPY = Action(Verb.COPY_LINK, "GPU box")
QUIT = Action(Verb.QUIT)
ITEMS = (
    Item("gpu", "R & D: connected", OPEN, checked=True),
    Item("advice", "    signed in", enabled=False),
    Item("line", separator=True),
    Item("more", "More", children=(Item("copy", "Copy link", COPY),)),
    Item("quit", "Quit", QUIT, checked=False),
)
VIEW = View(IconState.UP, "connected", ITEMS)


class SoonTimer(ThreadTimer):
    """Does not keep a test waiting."""

    def __init__(self, _seconds: float, job: Callable[[], None]) -> None:
        super().__init__(0.001, job)


def adapter(name: str, base: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Untyped:
    """The adapter module, over what pystray has for that system."""
    monkeypatch.setattr(pystray_base, "Icon", base.Icon)
    spec = importlib.util.find_spec(f"trayconnect.tray.{name}")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def drawn(icon: Untyped) -> None:
    """Wait until everything that was posted has been done."""
    done = threading.Event()
    icon.post(done.set)
    assert done.wait(LIMIT)


# --- Windows ------------------------------------------------------------------------------------


@dataclass
class Win32:
    windows: Windows
    make: Callable[[], Any]

    @contextmanager
    def running(
        self, view: View = VIEW, on_action: Callable[[Action], object] = print
    ) -> Iterator[tuple[TrayIcon, Any]]:
        icon = self.make()
        tray = TrayIcon(icon, on_action, label=windows_label, make_timer=SoonTimer)
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
    yield Win32(windows, lambda: module.Icon("test", GLYPH, ""))
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
    clicked: queue.SimpleQueue[Action] = queue.SimpleQueue()
    with win32.running(on_action=clicked.put):
        lines = win32.windows.lines()
        (inside,) = win32.windows.menus[lines[3].hSubMenu]
        for line, action in ((lines[0], OPEN), (inside, COPY), (lines[4], QUIT)):
            win32.windows.send(WM_NOTIFY, lparam=WM_RBUTTONUP)
            win32.windows.send(WM_CHOICE, line.wID)
            assert clicked.get(timeout=LIMIT) == action


@pytest.mark.parametrize("click", [0x0202, 0x0205], ids=["left", "right"])
def test_windows_leaves_an_open_menu_alone(win32: Win32, click: int) -> None:
    clicked: queue.SimpleQueue[Action] = queue.SimpleQueue()
    with win32.running(on_action=clicked.put) as (tray, icon):
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


# --- macOS --------------------------------------------------------------------------------------


@dataclass
class Darwin:
    mac: Mac
    icon: Untyped

    def run(
        self, user: Callable[[TrayIcon], object], on_action: Callable[[Action], object] = print
    ) -> None:
        """Run the tray here, on the main thread, while `user` acts on another."""
        tray = TrayIcon(self.icon, on_action, label=one_line, mono=True, make_timer=SoonTimer)
        tray.show(VIEW)

        def act() -> None:
            try:
                assert self.mac.appeared.wait(LIMIT)
                drawn(self.icon)
                user(tray)
            finally:
                tray.stop()

        with ThreadPoolExecutor(1) as pool:
            acted = pool.submit(act)
            tray.run()
            acted.result(LIMIT)
        assert self.mac.bar._items == []

    @property
    def item(self) -> Untyped:
        return self.icon._status_item

    @property
    def button(self) -> Untyped:
        return self.item._button

    def lines(self) -> list[NSMenuItem]:
        items: list[NSMenuItem] = self.item._menu._items
        return items

    def click(self, line: NSMenuItem) -> None:
        self.icon.post(line._click)


@pytest.fixture
def darwin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Darwin]:
    """The icon, made on the thread of the test, which is "the main thread"."""
    mac, base = fake_appkit.install(monkeypatch)
    module = adapter("darwin", base, monkeypatch)
    yield Darwin(mac, module.Icon("test", Glyph(IconState.OFF, mono=True), ""))
    assert mac.wrong == []


def test_macos_draws_on_the_main_thread(darwin: Darwin) -> None:
    def user(tray: TrayIcon) -> None:
        image = darwin.button._image
        assert (image._size, image._template) == ((18, 18), True)
        assert image._description == "trayconnect: up"
        up = Glyph(IconState.UP, mono=True).at(36)
        assert image._picture.tobytes() == up.tobytes()
        assert darwin.button._tip == "connected"
        tray.show(View(IconState.FAILED, "x" * 300, (Item("a", "again", OPEN),)))
        drawn(darwin.icon)
        assert darwin.button._image._description == "trayconnect: failed"
        assert darwin.button._tip == "x" * 126 + "…"
        assert [line._title for line in darwin.lines()] == ["again"]

    darwin.run(user)
    assert darwin.mac.app._policy == 1, "no icon in the Dock"


def test_the_macos_menu(darwin: Darwin) -> None:
    def user(_tray: TrayIcon) -> None:
        lines = darwin.lines()
        assert [line._title for line in lines] == [
            "R & D: connected", "    signed in", "", "More", "Quit",
        ]  # fmt: skip
        assert [line._state for line in lines] == [1, None, None, None, 0]
        assert [line._enabled for line in lines] == [True, False, True, True, True]
        assert [line._separator for line in lines] == [False, False, True, False, False]
        submenu = lines[3]._submenu
        assert submenu is not None
        assert [line._title for line in submenu._items] == ["Copy link"]

    darwin.run(user)


def test_a_click_in_the_macos_menu(darwin: Darwin) -> None:
    clicked: queue.SimpleQueue[Action] = queue.SimpleQueue()

    def user(_tray: TrayIcon) -> None:
        submenu = darwin.lines()[3]._submenu
        assert submenu is not None
        inside = submenu._items[0]
        for line, action in ((darwin.lines()[0], OPEN), (inside, COPY), (darwin.lines()[4], QUIT)):
            darwin.click(line)
            assert clicked.get(timeout=LIMIT) == action

    darwin.run(user, clicked.put)


def test_a_macos_menu_that_stays_open_does_what_it_says(darwin: Darwin) -> None:
    clicked: queue.SimpleQueue[Action] = queue.SimpleQueue()

    def user(tray: TrayIcon) -> None:
        on_the_screen = darwin.lines()
        tray.show(replace(VIEW, items=ITEMS[3:]))
        drawn(darwin.icon)
        assert len(darwin.lines()) == 2
        darwin.click(on_the_screen[0])
        assert clicked.get(timeout=LIMIT) == OPEN

    darwin.run(user, clicked.put)


def test_macos_makes_each_picture_once(darwin: Darwin) -> None:
    def user(tray: TrayIcon) -> None:
        tray.show(View(IconState.CONNECTING, attempt_since=1.0))
        shown = darwin.button._images
        while len(set(shown)) < 1 + FRAMES or len(shown) < 20:
            drawn(darwin.icon)
        tray.show(View(IconState.CONNECTING))
        drawn(darwin.icon)
        still = Glyph(IconState.CONNECTING, mono=True).at(36)
        assert shown[-1]._picture.tobytes() == still.tobytes()
        assert NSImage._made == 1 + FRAMES

    darwin.run(user)


def test_a_thin_menu_bar(darwin: Darwin) -> None:
    darwin.mac.thickness = 16.0

    def user(_tray: TrayIcon) -> None:
        assert darwin.button._image._size == (16, 16)

    darwin.run(user)


def test_macos_calls_the_handlers_of_signals(
    darwin: Darwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(signal, "getsignal", lambda _number: lambda n, _frame: seen.append(n))

    def user(_tray: TrayIcon) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            darwin.mac.signals[number](number)

    darwin.run(user)
    assert seen == [signal.SIGINT, signal.SIGTERM]


def test_macos_lines_of_an_older_menu_still_do_what_they_said() -> None:
    lines, calls = Lines(), list[str]()
    tags = []
    for name in ("old a", "old b", "new a"):
        tags.append(len(lines))
        lines.append(partial(calls.append, name))
    for tag in tags:
        lines[tag]()
    assert calls == ["old a", "old b", "new a"]


def test_macos_forgets_lines_of_long_ago() -> None:
    lines = Lines()
    for _ in range(3 * REMEMBERED):
        lines.append(lambda: pytest.fail("long gone"))
    assert len(lines._callbacks) == REMEMBERED
    lines[0]()
    lines[10**9]("icon")


def test_a_png_of_a_glyph() -> None:
    assert Image.open(io.BytesIO(png(GLYPH, 36))).size == (36, 36)
