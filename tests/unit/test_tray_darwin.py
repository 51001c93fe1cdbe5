"""The macOS adapter, and pystray's own code for macOS below it, over a stand-in for AppKit that
minds the thread of every call."""

from __future__ import annotations

import io
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest
from PIL import Image

from tests.support import fake_appkit
from tests.support.fake_appkit import Mac, NSImage, NSMenuItem
from tests.support.tray_adapters import (
    GLYPH,
    ITEMS,
    LIMIT,
    OPEN,
    VIEW,
    SoonTimer,
    Untyped,
    adapter,
    drawn,
)
from trayconnect.core.command import Command
from trayconnect.tray.backends.darwin import REMEMBERED, NoticeLines, png
from trayconnect.tray.icon import FRAMES, Glyph
from trayconnect.tray.text import one_line
from trayconnect.tray.tray_icon import TrayIcon
from trayconnect.tray.view import IconState, Item, View


@dataclass
class Darwin:
    mac: Mac
    icon: Untyped

    def run(
        self, user: Callable[[TrayIcon], object], on_command: Callable[[Command], object] = print
    ) -> None:
        """Run the tray here, on the main thread, while `user` acts on another."""
        tray = TrayIcon(self.icon, on_command, label=one_line, mono=True, make_timer=SoonTimer)
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
        assert not self.icon.visible, "else pystray hides it when it is collected, on any thread"

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
    yield Darwin(mac, module.MacIcon("test", Glyph(IconState.OFF, mono=True), ""))
    assert mac.wrong == []


@pytest.mark.parametrize(("thickness", "side"), [(24.0, 18), (16.0, 16)])
def test_macos_draws_on_the_main_thread(darwin: Darwin, thickness: float, side: int) -> None:
    darwin.mac.thickness = thickness

    def user(tray: TrayIcon) -> None:
        image = darwin.button._image
        assert (image._size, image._template) == ((side, side), True)
        assert image._description == "trayconnect: up"
        up = Glyph(IconState.UP, mono=True).at(2 * side)
        assert image._picture.tobytes() == up.tobytes()
        assert darwin.button._tip == "connected"
        tray.show(View(IconState.FAILED, "x" * 300, (Item("a", "again", OPEN),)))
        drawn(darwin.icon)
        assert darwin.button._image._description == "trayconnect: failed"
        assert darwin.button._tip == "x" * 126 + "…"
        assert [line._title for line in darwin.lines()] == ["again"]

    darwin.run(user)
    assert darwin.mac.app._policy == 1, "no icon in the Dock"


def test_a_macos_menu_that_stays_open_does_what_it_says(darwin: Darwin) -> None:
    clicked: queue.SimpleQueue[Command] = queue.SimpleQueue()

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


def test_macos_hears_signals_while_appkit_waits(darwin: Darwin) -> None:
    if sys.platform == "win32":
        pytest.skip("signals are of POSIX")
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heard: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()

    def handler(number: int, _frame: object) -> None:
        if threading.current_thread() is not threading.main_thread():
            heard.put((number, threading.current_thread().name))

    def user(_tray: TrayIcon) -> None:
        for number in numbers:
            os.kill(os.getpid(), number)
            assert heard.get(timeout=LIMIT) == (number, "tc-signals")

    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        darwin.run(user)
    finally:
        for number, was in before.items():
            signal.signal(number, was)


def test_macos_closes_an_open_menu_to_end(darwin: Darwin) -> None:
    menus: list[Untyped] = []
    darwin.run(lambda _: menus.append(darwin.icon._menu_handle[0]))
    assert not menus[0]._is_tracked


def test_macos_forgets_lines_of_long_ago() -> None:
    lines = NoticeLines()
    for _ in range(3 * REMEMBERED):
        lines.append(lambda: pytest.fail("long gone"))
    assert len(lines._callbacks) == REMEMBERED
    lines[0]()
    lines[10**9]("icon")


def test_a_png_of_a_glyph() -> None:
    assert Image.open(io.BytesIO(png(GLYPH, 36))).size == (36, 36)
