"""The messages of Windows that our icon answers, and what it asks of the system.

Here stand only the functions that it calls, and what it takes over from pystray's icon.
`tests/windows` runs the whole: the icon in its colours in a taskbar, its menu, the clicks, the end.
"""

from __future__ import annotations

import ctypes
import io
import itertools
import struct
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from tests.support.tray_adapters import GLYPH, Untyped, adapter
from trayconnect.tray.backends import win32_system
from trayconnect.tray.icon import FRAMES, Glyph
from trayconnect.tray.view import IconState

WM_DISPLAYCHANGE, WM_DPICHANGED, WM_SETTINGCHANGE = 0x007E, 0x02E0, 0x001A
WM_CLOSE, WM_QUERYENDSESSION, WM_ENDSESSION = 0x0010, 0x0011, 0x0016
WM_TIMER = 0x0113
WM_LBUTTONUP, WM_RBUTTONUP, WM_MOUSEMOVE = 0x0202, 0x0205, 0x0200
WM_NOTIFY, WM_TASKBARCREATED = 0x0400 + 11, 0xC123
NIM_ADD, NIM_MODIFY, NIM_DELETE = 0, 1, 2
WINDOW, TASKBAR = 7, 99


class NOTIFYICONDATAW(ctypes.Structure):
    _fields_ = (
        ("cbSize", ctypes.c_uint),
        ("hWnd", ctypes.c_size_t),
        ("uFlags", ctypes.c_uint),
        ("hIcon", ctypes.c_size_t),
    )


class Windows:
    """The functions of its DLLs, as ctypes has them, and their state."""

    def __init__(self) -> None:
        self.dpi = 120
        self.busy = 0
        """So often will the taskbar not take an icon."""
        self.shown: tuple[bytes, int] | None = None
        """The icon in the taskbar: the resource that it was made of, and its side."""
        self.updates = 0
        self.icons: dict[int, tuple[bytes, int]] = {}
        """The handles that live."""
        self.timers: set[int] = set()
        self.posted: list[int] = []
        self.aware: list[str] = []
        self._handles = itertools.count(1000)
        self.user32 = self._library(
            self.FindWindowW, self.GetDpiForWindow, self.GetSystemMetricsForDpi,
            self.GetSystemMetrics, self.CreateIconFromResourceEx, self.SetTimer, self.KillTimer,
            self.SetProcessDpiAwarenessContext, self.SetProcessDPIAware,
        )  # fmt: skip
        self.shcore = self._library(self.SetProcessDpiAwareness)

    @staticmethod
    def _library(*methods: Callable[..., Any]) -> SimpleNamespace:
        """With functions that take `argtypes` and `restype`, as methods do not."""
        return SimpleNamespace(
            **{one.__name__: (lambda *a, _call=one: _call(*a)) for one in methods}
        )

    def lack(self, *names: str) -> None:
        """Be too old for these functions."""
        for name in names:
            for library in (self.user32, self.shcore):
                vars(library).pop(name, None)

    def module(self) -> SimpleNamespace:
        """What pystray has of them."""
        return SimpleNamespace(
            windll=self,
            NOTIFYICONDATAW=NOTIFYICONDATAW,
            Shell_NotifyIcon=self.Shell_NotifyIcon,
            PostMessage=lambda window, message, *_: self.posted.append(message),
        )

    # --- the functions ---

    def FindWindowW(self, name: str, _title: None) -> int | None:
        return TASKBAR if name == "Shell_TrayWnd" else None

    def GetDpiForWindow(self, window: int | None) -> int:
        return self.dpi if window == TASKBAR else 0

    def GetSystemMetricsForDpi(self, index: int, dpi: int) -> int:
        assert index == 49
        return 16 * dpi // 96

    def GetSystemMetrics(self, index: int) -> int:
        assert index == 49
        return 16

    def CreateIconFromResourceEx(
        self, bits: bytes, length: int, is_icon: bool, version: int, wide: int, high: int, _f: int
    ) -> int:
        assert (len(bits), is_icon, version, wide) == (length, True, 0x30000, high)
        handle = next(self._handles)
        self.icons[handle] = (bits, wide)
        return handle

    def SetTimer(self, window: int, number: int, milliseconds: int, _function: None) -> int:
        assert (window, milliseconds > 0) == (WINDOW, True)
        self.timers.add(number)
        return number

    def KillTimer(self, _window: int, number: int) -> bool:
        self.timers.remove(number)
        return True

    def SetProcessDpiAwarenessContext(self, context: ctypes.c_void_p) -> bool:
        self.aware.append("per monitor, version 2")
        return context.value == ctypes.c_void_p(-4).value

    def SetProcessDpiAwareness(self, _awareness: int) -> int:
        self.aware.append("per monitor")
        return 0

    def SetProcessDPIAware(self) -> bool:
        self.aware.append("of the system")
        return True

    def Shell_NotifyIcon(self, code: int, data: NOTIFYICONDATAW) -> bool:
        assert data.hWnd == WINDOW
        if code == NIM_DELETE:
            self.shown = None
            return True
        if code == NIM_ADD and self.busy:
            self.busy -= 1
            return False
        if (code == NIM_ADD) != (self.shown is None):
            return False
        self.shown = self.icons[data.hIcon]
        self.updates += 1
        return True


def pystray_over(windows: Windows) -> type[Untyped]:
    from pystray import _base  # which opened a display, had tray_adapters not been imported

    class Icon(_base.Icon):  # type: ignore[misc]  # pystray is not annotated
        """What ours takes over from pystray's."""

        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)
            self._hwnd = WINDOW
            self._icon_handle: int | None = None
            self.ended = False
            self.menus: list[Callable[[], object]] = []
            """What happens while each menu is open."""
            self._message_handlers = {
                WM_DISPLAYCHANGE: self._on_display_change,
                WM_NOTIFY: self._on_notify,
                WM_TASKBARCREATED: self._on_taskbarcreated,
            }

        def send(self, message: int, wparam: int = 0, lparam: int = 0) -> object:
            return self._message_handlers[message](wparam, lparam)

        def pump(self) -> None:
            """Handle what was posted."""
            while windows.posted:
                self.send(windows.posted.pop(0))

        def _on_notify(self, _wparam: int, lparam: int) -> None:
            assert lparam == WM_RBUTTONUP
            self.menus.pop()()

        def _on_display_change(self, _wparam: int, _lparam: int) -> None: ...

        def _on_taskbarcreated(self, _wparam: int, _lparam: int) -> None:
            if self.visible:
                self._show()

        def _show(self) -> None:
            self._assert_icon_handle()
            self._message(NIM_ADD, 7, hIcon=self._icon_handle)

        def _hide(self) -> None:
            self._message(NIM_DELETE, 0)

        def _update_icon(self) -> None:
            self._release_icon()
            self._assert_icon_handle()
            self._message(NIM_MODIFY, 2, hIcon=self._icon_handle)
            self._icon_valid = True

        def _update_title(self) -> None: ...

        def _release_icon(self) -> None:
            if self._icon_handle:
                del windows.icons[self._icon_handle]
                self._icon_handle = None

        def _stop(self) -> None:
            self.ended = True

    return Icon


@pytest.fixture
def windows() -> Windows:
    return Windows()


@pytest.fixture
def make(windows: Windows, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Untyped]:
    pystray = ModuleType("pystray")
    vars(pystray)["Icon"] = pystray_over(windows)
    module = adapter("win32", pystray, monkeypatch)
    monkeypatch.setattr(module, "_api", windows.module)
    return lambda *more: module.WindowsIcon("test", GLYPH, "", *more)


@pytest.fixture
def icon(make: Callable[..., Untyped]) -> Iterator[Untyped]:
    icon = make()
    icon.icon = Glyph(IconState.UP)
    icon.visible = True
    yield icon
    icon.visible = False  # pystray would hide it when it is collected


def resource(side: int, state: IconState = IconState.UP, frame: int = 0) -> tuple[bytes, int]:
    return win32_system.icon_resource(Glyph(state, frame=frame), side), side


@pytest.mark.parametrize("click", [WM_LBUTTONUP, WM_RBUTTONUP], ids=["left", "right"])
def test_windows_leaves_an_open_menu_alone(icon: Untyped, click: int) -> None:
    done: list[str] = []

    def while_it_is_open() -> None:
        icon.post(lambda: done.append("a new menu is drawn"))
        icon.pump()
        assert done == []
        icon.send(WM_NOTIFY, lparam=click)  # a second click: nothing

    icon.send(WM_NOTIFY, lparam=WM_MOUSEMOVE)  # nothing
    icon.menus.append(while_it_is_open)
    icon.send(WM_NOTIFY, lparam=click)
    icon.pump()
    assert (done, icon.menus) == (["a new menu is drawn"], [])


def test_what_is_posted_before_there_is_a_window_is_done_with_the_next(
    make: Callable[..., Untyped], windows: Windows
) -> None:
    icon, done = make(), list[int]()
    icon._hwnd = None
    icon.post(lambda: done.append(1))
    assert windows.posted == []
    icon._hwnd = WINDOW
    icon.post(lambda: done.append(2))
    icon.pump()
    assert done == [1, 2]


def test_windows_keeps_one_handle_while_the_icon_moves(icon: Untyped, windows: Windows) -> None:
    for frame in range(FRAMES):
        icon.icon = Glyph(IconState.CONNECTING, frame=frame)
        assert windows.shown == resource(20, IconState.CONNECTING, frame)
        assert list(windows.icons.values()) == [windows.shown]


@pytest.mark.parametrize("message", [WM_DISPLAYCHANGE, WM_DPICHANGED, WM_SETTINGCHANGE])
def test_windows_takes_the_picture_for_the_new_scaling(
    icon: Untyped, windows: Windows, message: int
) -> None:
    before = windows.updates
    icon.send(message)
    assert windows.updates == before, "nothing has changed"
    windows.dpi = 192
    icon.send(message)
    assert windows.shown == resource(32)


def test_windows_shows_the_icon_again_when_explorer_restarts(
    icon: Untyped, windows: Windows
) -> None:
    windows.shown, windows.dpi = None, 144
    icon.send(WM_TASKBARCREATED)
    assert windows.shown == resource(24)
    assert len(windows.icons) == 1


def test_a_taskbar_that_is_busy_at_login(icon: Untyped, windows: Windows) -> None:
    windows.shown, windows.busy = None, 2
    icon.send(WM_TASKBARCREATED)
    for timers, shown in (({1}, False), (set(), True)):
        assert windows.timers == {1}
        icon.send(WM_TIMER, 1)
        assert (windows.timers, windows.shown is not None) == (timers, shown)


def test_a_taskbar_that_took_the_icon_and_did_not_say_so(icon: Untyped, windows: Windows) -> None:
    icon.send(WM_TASKBARCREATED)
    assert (windows.timers, windows.shown) == (set(), resource(20))


def test_a_taskbar_that_never_takes_the_icon(icon: Untyped, windows: Windows) -> None:
    windows.shown, windows.busy = None, 1000
    icon.send(WM_TASKBARCREATED)
    for _ in range(30):
        assert windows.timers == {1}
        icon.send(WM_TIMER, 1)
    assert windows.timers == set()


def test_windows_may_log_out_and_call_it_off(icon: Untyped) -> None:
    assert icon.send(WM_QUERYENDSESSION) == 1
    icon.send(WM_ENDSESSION, 0)
    assert not icon.ended


def test_windows_ends_it_when_asked(icon: Untyped) -> None:
    icon.send(WM_CLOSE)
    assert icon.ended


def test_the_message_that_the_session_ends_is_answered_when_all_is_done(
    make: Callable[..., Untyped],
) -> None:
    done: list[str] = []
    icon = make(lambda: done.append("sessions closed"))
    icon.send(WM_ENDSESSION, 1)
    assert (done, icon.ended) == (["sessions closed"], True)


@pytest.mark.parametrize(
    ("absent", "taken"),
    [
        ((), "per monitor, version 2"),
        (("SetProcessDpiAwarenessContext",), "per monitor"),
        (("SetProcessDpiAwarenessContext", "SetProcessDpiAwareness"), "of the system"),
    ],
)
def test_the_scaling_is_asked_for_once(
    make: Callable[..., Untyped], windows: Windows, absent: tuple[str, ...], taken: str
) -> None:
    windows.lack(*absent)
    make()
    assert windows.aware == [taken]


@pytest.mark.parametrize(
    ("dpi", "absent", "side"),
    [
        (96, (), 16),
        (120, (), 20),
        (192, (), 32),
        (288, (), 48),
        (0, (), 16),  # no taskbar
        (192, ("GetDpiForWindow",), 16),
        (192, ("GetSystemMetricsForDpi",), 16),
    ],
)
def test_the_side_of_a_small_icon(
    windows: Windows, dpi: int, absent: tuple[str, ...], side: int
) -> None:
    windows.dpi = dpi
    windows.lack(*absent)
    assert win32_system.small_icon_side(windows.user32) == side  # type: ignore[arg-type]


@pytest.mark.parametrize("side", [16, 20, 24, 32, 40, 48, 64])
def test_the_resource_is_an_icon(side: int) -> None:
    """In a file, it is read like any other."""
    for state in IconState:
        bits = win32_system.icon_resource(Glyph(state), side)
        entry = struct.pack("<BBBBHHII", side, side, 0, 0, 1, 32, len(bits), 22)
        file = Image.open(io.BytesIO(struct.pack("<HHH", 0, 1, 1) + entry + bits))
        assert file.convert("RGBA").tobytes() == Glyph(state).at(side).tobytes()


def test_a_windows_that_makes_no_icon(windows: Windows) -> None:
    windows.user32.CreateIconFromResourceEx = lambda *_: 0
    with pytest.raises(OSError, match="makes no icon"):
        win32_system.create_icon(windows.user32, GLYPH, 16)  # type: ignore[arg-type]
