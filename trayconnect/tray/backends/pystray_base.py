"""pystray, imported so that it opens no display.

`import pystray` picks a backend at once. On Linux that opens an X display (and raises
`Xlib.error.DisplayNameError` where there is none) or loads GTK, only for a tray without a menu or
with temporary files; our own backend in `sni.py` needs neither. So there it is told to take its
dummy, which leaves the menu classes and the abstract `Icon`. `_base` is private: pystray's version
is pinned.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARIABLE = "PYSTRAY_BACKEND"


@contextmanager
def _without_a_display() -> Iterator[None]:
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = "dummy"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before


if sys.platform in ("darwin", "win32"):
    from pystray import Icon, Menu, MenuItem
else:
    with _without_a_display():
        from pystray import Icon, Menu, MenuItem

__all__ = ["Icon", "Menu", "MenuItem"]
