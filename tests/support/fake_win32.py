"""A Windows of the test's own, below pystray: the functions of its DLLs, which mind their threads.

pystray's real `_win32` runs on it. A window's functions may only be called on the thread that made
the window; whoever calls elsewhere, forgets a handle, or destroys what is in use, is noted in
`wrong`, since pystray logs exceptions and goes on.
"""

from __future__ import annotations

import ctypes
import importlib
import itertools
import queue
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

Struct = Any
"""A structure of ctypes, or a pointer to one by `ctypes.byref`."""
LIMIT = 20.0
WM_QUIT = 0x0012
WM_CHOICE = 0x0001
"""Ours: a line of the open menu is chosen; wParam is its identifier, or 0 for none."""
WM_RBUTTONUP = 0x0205
WM_NOTIFY = 0x0400 + 11
WM_TASKBARCREATED = 0xC123
NIM_ADD, NIM_MODIFY, NIM_DELETE = 0, 1, 2
NIF_ICON, NIF_TIP, NIF_INFO = 2, 4, 16
TASKBAR = 99

FROM_ANY_THREAD = {"PostMessageW", "RegisterWindowMessageW", "GetModuleHandleW"}
BEFORE_THE_WINDOW = {
    "RegisterClassExW",
    "SetProcessDpiAwarenessContext",
    "SetProcessDpiAwareness",
    "SetProcessDPIAware",
    "PeekMessageW",
    "CreateWindowExW",
}


class Function:
    """What ctypes finds in a DLL."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call
        self.argtypes: Any = None
        self.restype: Any = None
        self.errcheck: Any = None

    def __call__(self, *arguments: Any) -> object:
        return self._call(*arguments)


class Library(ctypes.CDLL):
    """A DLL: has the methods of `Windows` that it exports, less those of `absent`."""

    def __init__(self, windows: Windows) -> None:  # there is nothing to load
        self._windows = windows

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a `Function`
        if name in self._windows.absent or name.startswith("_"):
            raise AttributeError(name)
        found = Function(self._windows.minded(name))
        setattr(self, name, found)
        return found


class Windows:
    """The state of that system."""

    def __init__(self) -> None:
        self.absent: set[str] = set()
        """Functions that this Windows is too old for."""
        self.dpi = 120
        self.wrong: list[str] = []
        self.calls: list[str] = []
        self.owner: threading.Thread | None = None
        self.quit_posted = False
        self.messages: queue.SimpleQueue[tuple[int, int, int, int]] = queue.SimpleQueue()
        self.icons: dict[int, tuple[bytes, int]] = {}
        """Handles that live, with the resource that each was made of and its side."""
        self.menus: dict[int, list[Any]] = {}
        self.windows: set[int] = set()
        self.tracked: int | None = None
        self.shown: dict[str, Any] | None = None
        """What the notification area has: icon, tip, info, title."""
        self.busy = 0
        """So often will the taskbar not take an icon."""
        self.timers: set[int] = set()
        self.opened, self.appeared = threading.Event(), threading.Event()
        self.posted_to_none = 0
        self._handles = itertools.count(1000)
        self._wndproc: Any = None

    def minded(self, name: str) -> Callable[..., Any]:
        call = getattr(self, name, None)
        if call is None:
            raise AttributeError(name)

        def checked(*arguments: Any) -> object:
            self.calls.append(name)
            here = threading.current_thread()
            if name in BEFORE_THE_WINDOW and name.startswith("SetProcess") and self.windows:
                self.wrong.append(f"{name} after the window was made")
            if name not in FROM_ANY_THREAD and self.owner not in (None, here):
                self.wrong.append(f"{name} on {here.name}")
            if self.owner is None and name not in FROM_ANY_THREAD | BEFORE_THE_WINDOW:
                self.wrong.append(f"{name} before there is a window")
            return call(*arguments)

        return checked

    # --- for the test -------------------------------------------------------------------------

    @property
    def window(self) -> int:
        return min(self.windows)

    def send(self, message: int, wparam: int = 0, lparam: int = 0) -> None:
        """From outside: to the icon's window."""
        self.messages.put((self.window, message, wparam, lparam))

    def lines(self) -> list[Any]:
        """The entries of the menu that is not part of another, as MENUITEMINFO."""
        inner = {entry.hSubMenu for entries in self.menus.values() for entry in entries}
        (outer,) = (handle for handle in self.menus if handle not in inner)
        return self.menus[outer]

    # --- messages -----------------------------------------------------------------------------

    def RegisterWindowMessageW(self, name: str) -> int:
        assert name == "TaskbarCreated"
        return WM_TASKBARCREATED

    def GetModuleHandleW(self, _name: None) -> int:
        return 1

    def RegisterClassExW(self, description: Struct) -> int:
        self._wndproc = description.lpfnWndProc
        return 2

    def UnregisterClassW(self, _atom: int, _module: int) -> bool:
        return True

    def CreateWindowExW(self, *_arguments: Any) -> int:
        self.owner = threading.current_thread()
        handle = next(self._handles)
        self.windows.add(handle)
        return handle

    def DestroyWindow(self, handle: int) -> bool:
        self.windows.remove(handle)
        return True

    def ChangeWindowMessageFilterEx(self, *_arguments: Any) -> bool:
        return True

    def DefWindowProcW(self, *_arguments: Any) -> int:
        return 0

    def PeekMessageW(self, *_arguments: Any) -> bool:
        return False

    def PostMessageW(self, window: int, message: int, wparam: int, lparam: int) -> bool:
        if window not in self.windows:
            self.posted_to_none += 1
            return False
        self.messages.put((window, message, wparam, lparam))
        return True

    def PostQuitMessage(self, _code: int) -> None:
        self.quit_posted = True

    def GetMessageW(self, pointer: Struct, *_arguments: Any) -> int:
        if self.quit_posted:
            return 0
        message = pointer._obj
        message.hWnd, message.message, message.wParam, message.lParam = self.messages.get(
            timeout=LIMIT
        )
        return 1

    def TranslateMessage(self, _pointer: Struct) -> bool:
        return True

    def DispatchMessageW(self, pointer: Struct) -> int:
        message = pointer._obj
        return self.dispatch(message.hWnd, message.message, message.wParam, message.lParam)

    def dispatch(self, window: int, message: int, wparam: int, lparam: int) -> int:
        result: int = self._wndproc(window, message, wparam, lparam)
        return result

    # --- the menu -----------------------------------------------------------------------------

    def CreatePopupMenu(self) -> int:
        handle = next(self._handles)
        self.menus[handle] = []
        return handle

    def InsertMenuItemW(
        self, menu: int, position: int, _by_position: bool, pointer: Struct
    ) -> bool:
        self.menus[menu].insert(position, pointer._obj)
        return True

    def DestroyMenu(self, menu: int) -> bool:
        if menu == self.tracked:
            self.wrong.append("the menu was destroyed under the user's pointer")
        for entry in self.menus.pop(menu):
            if entry.hSubMenu:
                self.DestroyMenu(entry.hSubMenu)
        return True

    def SetForegroundWindow(self, _window: int) -> bool:
        return True

    def GetCursorPos(self, _pointer: Struct) -> bool:
        return True

    def TrackPopupMenuEx(self, menu: int, *_arguments: Any) -> int:
        """Has a loop of its own, as the real one."""
        if self.tracked is not None:
            self.wrong.append("a menu over a menu")
        self.tracked = menu
        self.opened.set()
        try:
            while not self.quit_posted:
                window, message, wparam, lparam = self.messages.get(timeout=LIMIT)
                if message == WM_CHOICE:
                    return wparam
                self.dispatch(window, message, wparam, lparam)
            return 0
        finally:
            self.tracked = None

    # --- the icon -----------------------------------------------------------------------------

    def SetProcessDpiAwarenessContext(self, context: ctypes.c_void_p) -> bool:
        return context.value == ctypes.c_void_p(-4).value

    def SetProcessDpiAwareness(self, _awareness: int) -> int:
        return 0

    def SetProcessDPIAware(self) -> bool:
        return True

    def FindWindowW(self, name: str, _title: None) -> int | None:
        return TASKBAR if name == "Shell_TrayWnd" else None

    def GetDpiForWindow(self, window: int | None) -> int:
        return self.dpi if window == TASKBAR else 0

    def GetSystemMetricsForDpi(self, index: int, dpi: int) -> int:
        assert index == 49
        assert dpi, "of no window"
        return 16 * dpi // 96

    def GetSystemMetrics(self, index: int) -> int:
        assert index == 49
        return 16

    def LoadImageW(self, *_arguments: Any) -> int:
        self.wrong.append("an icon from a file")
        return 0

    def CreateIconFromResourceEx(
        self, bits: bytes, length: int, is_icon: bool, version: int, wide: int, high: int, _f: int
    ) -> int:
        assert (len(bits), is_icon, version, wide) == (length, True, 0x30000, high)
        handle = next(self._handles)
        self.icons[handle] = (bits, wide)
        return handle

    def DestroyIcon(self, handle: int) -> bool:
        if self.icons.pop(handle, None) is None:
            self.wrong.append("an icon was destroyed twice")
        return True

    def Shell_NotifyIconW(self, code: int, data: Struct) -> bool:
        if data.hWnd != self.window:
            self.wrong.append("the icon of another window")
        if code == NIM_DELETE:
            self.shown = None
            return True
        if code == NIM_ADD and self.busy:
            self.busy -= 1
            return False
        if (code == NIM_ADD) != (self.shown is None):
            return False
        shown = self.shown = self.shown or {}
        if data.uFlags & NIF_ICON:
            shown["icon"] = self.icons[data.hIcon]
        if data.uFlags & NIF_TIP:
            shown["tip"] = data.szTip
        if data.uFlags & NIF_INFO:
            shown["info"] = (data.szInfo, data.szInfoTitle)
        if code == NIM_ADD:
            self.appeared.set()
        return True

    def SetTimer(self, _window: int, number: int, milliseconds: int, _function: None) -> int:
        assert milliseconds > 0
        self.timers.add(number)
        return number

    def KillTimer(self, _window: int, number: int) -> bool:
        self.timers.remove(number)
        return True


def install(monkeypatch: pytest.MonkeyPatch) -> tuple[Windows, ModuleType]:
    """That Windows, and pystray's module over it, for the time of a test."""
    windows = Windows()
    monkeypatch.setattr(ctypes, "WinDLL", lambda _name: Library(windows), raising=False)
    monkeypatch.setattr(ctypes, "WINFUNCTYPE", ctypes.CFUNCTYPE, raising=False)
    monkeypatch.setattr(ctypes, "HRESULT", ctypes.c_long, raising=False)
    monkeypatch.setattr(ctypes, "WinError", OSError, raising=False)
    util = importlib.import_module("pystray._util")
    for name in ("pystray._util.win32", "pystray._win32"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
        del sys.modules[name]
    monkeypatch.setattr(util, "win32", importlib.import_module("pystray._util.win32"))
    return windows, importlib.import_module("pystray._win32")
