"""Handles the closing of a Windows console, and the user's logout: the system ends the process as
soon as the handler returns, or after 5 seconds.
https://learn.microsoft.com/windows/console/handlerroutine"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CLOSE, LOGOFF, SHUTDOWN = 2, 5, 6
"""CTRL_CLOSE_EVENT and so on; Python handles the others as signals."""


def answer(event: int, on_end: Callable[[], object]) -> bool:
    """Whether the event was handled."""
    if event not in (CLOSE, LOGOFF, SHUTDOWN):
        return False
    on_end()
    return True


@contextmanager
def before_console_ends(on_end: Callable[[], object]) -> Iterator[None]:
    """Within the block, `on_end` is called at such an event, on a thread of the system's."""
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
