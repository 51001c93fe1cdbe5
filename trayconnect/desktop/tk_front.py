"""Brings a window of ours before the others."""

from __future__ import annotations

import contextlib
import sys
import tkinter


def bring(root: tkinter.Tk) -> None:
    """Show it on top, even if it is iconified. It does not get the keyboard by that."""
    root.deiconify()
    if sys.platform == "darwin":
        _activate()
    root.lift()
    if sys.platform in ("darwin", "win32"):  # lifting orders one program's windows only
        root.attributes("-topmost", True)
        root.after_idle(root.attributes, "-topmost", False)


def _activate() -> None:
    """Make this process the active one, which Tk does not."""
    with contextlib.suppress(ImportError):
        import AppKit

        AppKit.NSApplication.sharedApplication().activateIgnoringOtherApps_(True)
