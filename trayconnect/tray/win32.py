"""pystray's Windows icon, with every call on the thread of its window.

pystray changes the menu on whatever thread asks, also while it is open, which destroys it under
the user's pointer. Here work is queued and a message posted to the icon's window; while the menu
is open (its own message loop runs then) the work waits.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from types import ModuleType
from typing import Any

from trayconnect.tray import pystray_base
from trayconnect.tray.icon import Glyph

# https://learn.microsoft.com/windows/win32/winmsg/wm-app, and winuser.h
WM_JOBS = 0x8000 + 1
WM_LBUTTONUP = 0x0202
WM_RBUTTONUP = 0x0205
SM_CXSMICON = 49
IMAGE_ICON = 1
LR_LOADFROMFILE = 0x10


class Icon(pystray_base.Icon):  # type: ignore[misc]  # pystray is not annotated
    """A left click opens the menu like a right click."""

    def __init__(self, name: str, icon: Glyph, title: str) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._menu_open = False
        self._icon_handle: Any = None
        super().__init__(name, icon, title)
        self._message_handlers[WM_JOBS] = self._on_jobs

    def post(self, job: Callable[[], None]) -> None:
        """Run `job` on the window's thread, once the menu is closed."""
        self._jobs.put(job)
        self._nudge()

    def _nudge(self) -> None:
        if self._hwnd:  # what is posted before there is a window goes with the next job
            _api().PostMessage(self._hwnd, WM_JOBS, 0, 0)

    def _on_jobs(self, _wparam: int, _lparam: int) -> None:
        while not self._menu_open:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            job()

    def _on_notify(self, wparam: int, lparam: int) -> None:
        if lparam not in (WM_LBUTTONUP, WM_RBUTTONUP) or self._menu_open:
            return
        self._menu_open = True
        try:
            super()._on_notify(wparam, WM_RBUTTONUP)
        finally:
            self._menu_open = False
            self._nudge()

    def _assert_icon_handle(self) -> None:
        """At the size of a small icon, not pystray's large one scaled down."""
        if self._icon_handle:
            return
        from pystray._util import serialized_image

        api: Any = _api()
        side = api.windll.user32.GetSystemMetrics(SM_CXSMICON)
        with serialized_image(self.icon, "ICO") as path:
            self._icon_handle = api.LoadImage(None, path, IMAGE_ICON, side, side, LR_LOADFROMFILE)


def _api() -> ModuleType:
    from pystray._util import win32

    found: ModuleType = win32
    return found
