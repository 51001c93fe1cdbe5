"""Cleaning up before Windows closes the console of this process. It ends the process as soon as the
handler has returned, or after 5 seconds.
https://learn.microsoft.com/windows/console/handlerroutine

It tells a process of a logout here only until that has loaded user32.dll, and then by a message to
its windows: the icon hears it (see `tray.win32`), `trayconnect run --no-tray` may not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CLOSE, LOGOFF, SHUTDOWN = 2, 5, 6
"""CTRL_CLOSE_EVENT and so on; Python makes signals of the others."""


def answer(event: int, on_end: Callable[[], object]) -> bool:
    """Call `on_end` if the console ends. Returns whether nothing else is to handle the event."""
    if event not in (CLOSE, LOGOFF, SHUTDOWN):
        return False
    on_end()
    return True


@contextmanager
def before_console_ends(on_end: Callable[[], object]) -> Iterator[None]:
    """Call `on_end`, on a thread of the system, if the console is closed meanwhile."""
    if sys.platform == "win32":
        import ctypes
        from ctypes import wintypes

        kind = ctypes.WINFUNCTYPE(wintypes.BOOL, wintypes.DWORD)
        handler = kind(lambda event: answer(event, on_end))
        kernel32 = ctypes.WinDLL("kernel32")
        kernel32.SetConsoleCtrlHandler(handler, True)
        try:
            yield
        finally:
            kernel32.SetConsoleCtrlHandler(handler, False)
    else:
        yield
