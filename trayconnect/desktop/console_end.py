"""What is done before a console of Windows is closed, or its user logs out: the process is ended as
soon as that has been answered, or after 5 seconds.
https://learn.microsoft.com/windows/console/handlerroutine"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CLOSE, LOGOFF, SHUTDOWN = 2, 5, 6
"""CTRL_CLOSE_EVENT and so on; the others are signals to Python."""


def answer(event: int, on_end: Callable[[], object]) -> bool:
    """Whether that was all that is done of it."""
    if event not in (CLOSE, LOGOFF, SHUTDOWN):
        return False
    on_end()
    return True


@contextmanager
def before_console_ends(on_end: Callable[[], object]) -> Iterator[None]:
    """Within, `on_end` is called then, on a thread of the system's."""
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
