"""pystray's Windows icon, with every call on the thread of its window.

pystray changes the menu on whatever thread asks, also while it is open, which destroys it under
the user's pointer. Here work is queued and a message posted to the icon's window; while the menu
is open (its own message loop runs then) the work waits.
"""

from __future__ import annotations

import ctypes
import logging
import queue
from collections.abc import Callable
from types import ModuleType
from typing import Any

from trayconnect.tray.backends import pystray_base, win32_system
from trayconnect.tray.icon import Glyph

log = logging.getLogger(__name__)

# https://learn.microsoft.com/windows/win32/winmsg/wm-app, and winuser.h
WM_CLOSE = 0x0010
WM_QUERYENDSESSION = 0x0011
WM_ENDSESSION = 0x0016
WM_SETTINGCHANGE = 0x001A
WM_TIMER = 0x0113
WM_LBUTTONUP = 0x0202
WM_RBUTTONUP = 0x0205
WM_DPICHANGED = 0x02E0
WM_JOBS = 0x8000 + 1
NIM_ADD, NIM_MODIFY = 0, 1

ADD_EVERY = 2000
"""Milliseconds between attempts to add the icon while the taskbar does not take it."""
ADD_TIMES = 30


class WindowsIcon(pystray_base.Icon):  # type: ignore[misc]  # pystray is not annotated
    """A left click opens the menu like a right click. `on_session_end` is called when the user logs
    out or the computer is shut down: Windows ends the process as soon as it has returned, or after
    some seconds."""

    def __init__(
        self,
        name: str,
        icon: Glyph,
        title: str,
        on_session_end: Callable[[], object] = lambda: None,
    ) -> None:
        self._on_session_end = on_session_end
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._menu_open = False
        self._icon_handle: Any = None
        self._side = 0
        self._attempts = 0
        win32_system.make_dpi_aware(_api().windll)
        super().__init__(name, icon, title)
        self._message_handlers |= {
            WM_JOBS: self._on_jobs,
            WM_DPICHANGED: self._on_display_change,
            WM_SETTINGCHANGE: self._on_display_change,
            WM_TIMER: self._on_timer,
            WM_CLOSE: self._on_close,
            WM_QUERYENDSESSION: self._on_query_end_session,
            WM_ENDSESSION: self._on_end_session,
        }

    def post(self, job: Callable[[], None]) -> None:
        """Run `job` on the window's thread, once the menu is closed."""
        self._jobs.put(job)
        self._nudge()

    def _nudge(self) -> None:
        if self._hwnd:  # without a window, the next job takes it along
            _api().PostMessage(self._hwnd, WM_JOBS, 0, 0)

    def _on_jobs(self, _wparam: int, _lparam: int) -> None:
        while not self._menu_open:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            job()

    def _run(self) -> None:
        try:
            super()._run()
        finally:
            self._release_icon()

    # --- messages to the window ---------------------------------------------------------------

    def _on_notify(self, wparam: int, lparam: int) -> None:
        if lparam not in (WM_LBUTTONUP, WM_RBUTTONUP) or self._menu_open:
            return
        self._menu_open = True
        try:
            super()._on_notify(wparam, WM_RBUTTONUP)
        finally:
            self._menu_open = False
            self._nudge()

    def _on_display_change(self, _wparam: int, _lparam: int) -> None:
        """pystray shows the old picture again; it may have the wrong size now."""
        if self.visible and win32_system.small_icon_side(_api().windll.user32) != self._side:
            self._update_icon()

    def _on_taskbarcreated(self, wparam: int, lparam: int) -> None:
        """Explorer has started again, perhaps since the scaling changed."""
        self._release_icon()
        super()._on_taskbarcreated(wparam, lparam)

    def _on_close(self, _wparam: int, _lparam: int) -> None:
        """As `taskkill` asks."""
        self._stop()

    def _on_query_end_session(self, _wparam: int, _lparam: int) -> int:
        """pystray's answer to every message it does not know would forbid the user to log out."""
        return 1

    def _on_end_session(self, ends: int, _lparam: int) -> None:
        if ends:
            try:
                self._on_session_end()
            finally:
                self._stop()

    # --- the taskbar --------------------------------------------------------------------------

    def _message(self, code: int, flags: int, **fields: Any) -> None:
        """pystray does not look whether it worked. At login the taskbar may be too busy to take
        an icon, or take it and not say so (the remarks on NIM_ADD at
        https://learn.microsoft.com/windows/win32/api/shellapi/nf-shellapi-shell_notifyiconw)."""
        api = _api()
        data = api.NOTIFYICONDATAW(
            cbSize=ctypes.sizeof(api.NOTIFYICONDATAW), hWnd=self._hwnd, uFlags=flags, **fields
        )
        done = api.Shell_NotifyIcon(code, data)
        if code != NIM_ADD:
            return
        if done or api.Shell_NotifyIcon(NIM_MODIFY, data):
            self._attempts = 0
        elif self._attempts < ADD_TIMES:
            self._attempts += 1
            log.info("the taskbar does not take the icon yet")
            api.windll.user32.SetTimer(self._hwnd, 1, ADD_EVERY, None)

    def _on_timer(self, _wparam: int, _lparam: int) -> None:
        _api().windll.user32.KillTimer(self._hwnd, 1)
        if self.visible:
            self._show()

    # --- the picture --------------------------------------------------------------------------

    def _assert_icon_handle(self) -> None:
        """At the size of a small icon and from memory: pystray takes the large one, by a file."""
        if self._icon_handle:
            return
        user32 = _api().windll.user32
        self._side = win32_system.small_icon_side(user32)
        self._icon_handle = win32_system.create_icon(user32, self.icon, self._side)


def _api() -> ModuleType:
    from pystray._util import win32

    found: ModuleType = win32
    return found
