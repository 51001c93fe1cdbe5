"""A helper's window goes when the app is gone."""

from __future__ import annotations

import os
import tkinter

_PARENT_CHECK_MS = 1000


def close_with_parent(root: tkinter.Tk, parent: int) -> None:
    """Go away when the app died: nobody would read the answer. POSIX gives an orphan a new
    parent; elsewhere the window stays until it is closed."""
    if os.getppid() != parent:
        root.destroy()
    else:
        root.after(_PARENT_CHECK_MS, lambda: close_with_parent(root, parent))
