"""What the Windows icon asks of the system beside pystray: its scaling, and an icon from pixels.

`windll` and `user32` are those of ctypes. Sources:
https://learn.microsoft.com/windows/win32/hidpi/high-dpi-desktop-application-development-on-windows
and, for the resource, https://learn.microsoft.com/previous-versions/ms997538(v=msdn.10)
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from ctypes import wintypes
from functools import lru_cache

from PIL import Image

from trayconnect.tray.icon import Glyph

PER_MONITOR_AWARE_V2 = -4
"""DPI_AWARENESS_CONTEXT_PER_MONITOR_AWARE_V2, Windows 10 1703."""
PER_MONITOR_AWARE = 2
"""PROCESS_PER_MONITOR_DPI_AWARE, Windows 8.1."""
SM_CXSMICON = 49
TASKBAR = "Shell_TrayWnd"
ICON_VERSION = 0x00030000


def make_dpi_aware(windll: ctypes.LibraryLoader[ctypes.CDLL]) -> None:
    """Let the process see real pixels; to be called before it has a window.

    Otherwise Windows tells it of a screen at 100 %, and enlarges its icon into a blur. Does nothing
    where the awareness is set already, or where there is none to set."""
    ways: tuple[Callable[[], object], ...] = (
        lambda: windll.user32.SetProcessDpiAwarenessContext(ctypes.c_void_p(PER_MONITOR_AWARE_V2)),
        lambda: windll.shcore.SetProcessDpiAwareness(PER_MONITOR_AWARE) == 0,
        lambda: windll.user32.SetProcessDPIAware(),
    )
    for way in ways:
        try:
            if way():
                return
        except (AttributeError, OSError):  # not in this Windows
            continue


def small_icon_side(user32: ctypes.CDLL) -> int:
    """The pixels of a small icon at the scaling of the taskbar."""
    side = 0
    try:
        user32.FindWindowW.restype = wintypes.HWND
        user32.GetDpiForWindow.argtypes = (wintypes.HWND,)
        dpi = user32.GetDpiForWindow(user32.FindWindowW(TASKBAR, None))
        side = user32.GetSystemMetricsForDpi(SM_CXSMICON, dpi) if dpi else 0
    except AttributeError:  # before Windows 10 1607
        pass
    return int(side or user32.GetSystemMetrics(SM_CXSMICON))


def create_icon(user32: ctypes.CDLL, glyph: Glyph, side: int) -> int:
    """A handle, to be destroyed by the caller. Raises OSError."""
    create = user32.CreateIconFromResourceEx
    create.restype = wintypes.HICON
    create.argtypes = (
        ctypes.c_char_p, wintypes.DWORD, wintypes.BOOL, wintypes.DWORD,
        ctypes.c_int, ctypes.c_int, wintypes.UINT,
    )  # fmt: skip
    bits = icon_resource(glyph, side)
    handle = create(bits, len(bits), True, ICON_VERSION, side, side, 0)
    if not handle:
        raise OSError(f"Windows makes no icon of {glyph} at {side} pixels")
    return int(handle)


@lru_cache(maxsize=32)
def icon_resource(glyph: Glyph, side: int) -> bytes:
    """The picture as an RT_ICON resource: a bitmap of 32 bits a pixel, then an empty mask."""
    picture = glyph.at(side).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    header = struct.pack("<IiiHHIIiiII", 40, side, 2 * side, 1, 32, 0, 4 * side**2, 0, 0, 0, 0)
    mask = bytes((side + 31) // 32 * 4 * side)
    return header + picture.tobytes("raw", "BGRA") + mask
