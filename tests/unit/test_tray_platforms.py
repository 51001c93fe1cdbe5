"""The macOS and Windows adapters over stand-ins for pystray's icons that mind their threads.

The stand-ins have what the adapters use of `pystray._darwin.Icon` and `pystray._win32.Icon`, as
those read in pystray 0.19.5; the real ones need their systems.
"""

from __future__ import annotations

import importlib.util
import io
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator, MutableSequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from PIL import Image

from trayconnect.tray import pystray_base
from trayconnect.tray.darwin import REMEMBERED, Lines, png
from trayconnect.tray.icon import Glyph
from trayconnect.tray.text import windows_label
from trayconnect.tray.tray_icon import TrayIcon
from trayconnect.tray.view import Action, IconState, Item, Verb, View

LIMIT = 20.0
OPEN = Action(Verb.OPEN, "GPU box")
GLYPH = Glyph(IconState.OFF)


def adapter(name: str, base: type, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The adapter module, with `base` for what pystray has on that system."""
    monkeypatch.setattr(pystray_base, "Icon", base)
    spec = importlib.util.find_spec(f"trayconnect.tray.{name}")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def running(tray: TrayIcon) -> Iterator[None]:
    thread = threading.Thread(target=tray.run, name="tc-test-tray")
    thread.start()
    try:
        yield
    finally:
        tray.stop()
        thread.join(LIMIT)
        assert not thread.is_alive()


# --- Windows ------------------------------------------------------------------------------------


class Win32Icon(pystray_base.Icon):  # type: ignore[misc]  # pystray is not annotated
    """Messages are a queue; the menu has its own loop, as TrackPopupMenuEx has."""

    WM_STOP, WM_NOTIFY = 0x40A, 0x40B

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._icon_handle = None
        self._hwnd: int | None = None
        self._message_handlers: dict[int, Callable[[int, int], object]] = {
            self.WM_NOTIFY: self._on_notify
        }
        self.messages: queue.SimpleQueue[tuple[int, int, int]] = queue.SimpleQueue()
        self.owner: threading.Thread | None = None
        self.in_menu = False
        self.menus: list[list[str]] = []
        self.seen: list[str] = []
        self.shown, self.opened = threading.Event(), threading.Event()

    def mind(self, what: str) -> None:
        assert threading.current_thread() is self.owner, f"{what} on another thread"
        assert not (self.in_menu and what == "menu"), "changed under the user's pointer"
        self.seen.append(what)

    def _run(self) -> None:
        self.owner = threading.current_thread()
        self._hwnd = 77
        self._mark_ready()
        self.loop(until=self.WM_STOP)

    def loop(self, until: int) -> None:
        while (message := self.messages.get(timeout=LIMIT))[0] != until:
            self._message_handlers[message[0]](*message[1:])

    def _on_notify(self, _wparam: int, lparam: int) -> None:
        assert lparam == 0x0205, "only a right click opens pystray's menu"
        lines = list(self.menu)
        self.in_menu = True
        self.opened.set()
        self.loop(until=1)  # a line is chosen
        self.in_menu = False
        self._handler(lines[0])(self)

    def _stop(self) -> None:
        self.messages.put((self.WM_STOP, 0, 0))

    def _show(self) -> None:
        self.mind("show")
        self.shown.set()

    def _hide(self) -> None: ...

    def _update_icon(self) -> None:
        self.mind("icon")
        self._assert_icon_handle()
        self._icon_valid = True

    def _assert_icon_handle(self) -> None:
        raise AssertionError("pystray's own takes the large icon")

    def _update_title(self) -> None:
        self.mind("title")

    def _update_menu(self) -> None:
        self.mind("menu")
        self.menus.append([line.text for line in self.menu or ()])


@pytest.fixture
def win32(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    module = adapter("win32", Win32Icon, monkeypatch)
    icon = module.Icon("test", GLYPH, "")
    loaded: list[tuple[Any, ...]] = []

    def load(_module: None, path: str, *arguments: int) -> int:
        loaded.append((Path(path).read_bytes()[:4], *arguments))
        return 5

    api = SimpleNamespace(
        PostMessage=lambda _hwnd, *message: icon.messages.put(message),
        LoadImage=load,
        windll=SimpleNamespace(user32=SimpleNamespace(GetSystemMetrics={49: 20}.get)),
    )
    monkeypatch.setattr(module, "_api", lambda: api)
    return SimpleNamespace(icon=icon, loaded=loaded)


def view(text: str) -> View:
    return View(IconState.UP, "title", (Item("a", text, OPEN),))


def test_windows_draws_on_its_own_thread(win32: SimpleNamespace) -> None:
    tray = TrayIcon(win32.icon, print, label=windows_label)
    tray.show(view("R & D"))
    with running(tray):
        assert win32.icon.shown.wait(LIMIT)
        assert win32.icon.menus[-1] == ["R && D"]
        tray.show(view("again"))
        done = threading.Event()
        win32.icon.post(done.set)
        assert done.wait(LIMIT)
        assert win32.icon.menus[-1] == ["again"]


def test_windows_loads_the_small_icon(win32: SimpleNamespace) -> None:
    with running(TrayIcon(win32.icon, print, label=windows_label)):
        assert win32.icon.shown.wait(LIMIT)
        assert win32.loaded == [(b"\0\0\1\0", 1, 20, 20, 0x10)]


@pytest.mark.parametrize("click", [0x0202, 0x0205], ids=["left", "right"])
def test_windows_leaves_an_open_menu_alone(win32: SimpleNamespace, click: int) -> None:
    clicked: queue.SimpleQueue[Action] = queue.SimpleQueue()
    tray = TrayIcon(win32.icon, clicked.put, label=windows_label)
    tray.show(view("before"))
    icon = win32.icon
    with running(tray):
        assert icon.shown.wait(LIMIT)
        icon.messages.put((icon.WM_NOTIFY, 0, 0x0200))  # the pointer moves: nothing
        icon.messages.put((icon.WM_NOTIFY, 0, click))
        assert icon.opened.wait(LIMIT)
        tray.show(view("while open"))
        icon.messages.put((icon.WM_NOTIFY, 0, click))  # a second click: nothing
        icon.messages.put((1, 0, 0))
        assert clicked.get(timeout=LIMIT) == OPEN
        done = threading.Event()
        icon.post(done.set)
        assert done.wait(LIMIT)
        assert icon.menus[-1] == ["while open"]


# --- macOS --------------------------------------------------------------------------------------


class DarwinIcon(pystray_base.Icon):  # type: ignore[misc]  # pystray is not annotated
    """Its run loop is the queue behind `AppHelper.callAfter`."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.main = threading.current_thread()
        self._icon_image = None
        self._app, self._status_bar, self._status_item = MagicMock(), MagicMock(), MagicMock()
        self._status_bar.thickness.return_value = 24.0
        self.shown = threading.Event()
        self.built: list[tuple[list[str], Any]] = []

    def mind(self) -> None:
        assert threading.current_thread() is self.main, "AppKit off the main thread"

    def _create_menu(self, menu: pystray_base.Menu, callbacks: MutableSequence[object]) -> object:
        self.mind()
        for line in menu or ():
            callbacks.append(self._handler(line))
        return object()

    def _stop(self) -> None:
        self.mind()
        self._app.stop_()

    def _show(self) -> None:
        self.mind()
        self._assert_image()
        self.shown.set()

    def _hide(self) -> None: ...

    def _update_icon(self) -> None:
        self.mind()
        self._icon_image = None
        self._icon_valid = True

    def _update_title(self) -> None:
        self.mind()


@pytest.fixture
def darwin(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The icon, made on the thread of the test, which is "the main thread"; and the frameworks."""
    jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    helper, signals = MagicMock(), MagicMock()
    helper.callAfter = jobs.put
    tools = SimpleNamespace(AppHelper=helper, MachSignals=signals)
    appkit, foundation = MagicMock(), MagicMock()
    monkeypatch.setitem(sys.modules, "PyObjCTools", tools)
    monkeypatch.setitem(sys.modules, "AppKit", appkit)
    monkeypatch.setitem(sys.modules, "Foundation", foundation)
    module = adapter("darwin", DarwinIcon, monkeypatch)
    icon = module.Icon("test", Glyph(IconState.OFF, mono=True), "")
    stopped = threading.Event()
    icon._app.stop_ = stopped.set

    def loop() -> None:
        while not stopped.is_set():
            jobs.get(timeout=LIMIT)()

    icon._app.run = loop
    return SimpleNamespace(icon=icon, signals=signals, appkit=appkit, foundation=foundation)


def test_macos_draws_on_the_main_thread(darwin: SimpleNamespace) -> None:
    icon = darwin.icon
    tray = TrayIcon(icon, print, label=str, mono=True)

    def user() -> None:
        tray.show(view("from elsewhere"))
        assert icon.shown.wait(LIMIT)
        tray.stop()

    helper = threading.Thread(target=user)
    helper.start()
    tray.run()
    helper.join(LIMIT)
    icon._app.setActivationPolicy_.assert_called_once_with(1)
    icon._status_bar.removeStatusItem_.assert_called_once_with(icon._status_item)
    image = darwin.appkit.NSImage.alloc().initWithData_()
    image.setSize_.assert_called_with((18, 18))
    image.setTemplate_.assert_called_with(True)
    data, length = darwin.foundation.NSData.dataWithBytes_length_.call_args[0]
    assert len(data) == length
    assert Image.open(io.BytesIO(data)).size == (36, 36)


def test_macos_calls_the_handlers_of_signals(
    darwin: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(signal, "getsignal", lambda _number: lambda n, _frame: seen.append(n))
    tray = TrayIcon(darwin.icon, print, label=str, mono=True)
    tray.stop()
    tray.run()
    for call in darwin.signals.signal.call_args_list:
        number, handler = call[0]
        handler(number)
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
