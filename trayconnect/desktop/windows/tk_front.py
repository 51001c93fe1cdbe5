"""Raises a window of ours to the front."""

from __future__ import annotations

import contextlib
import sys
import tkinter


def bring(root: tkinter.Tk) -> None:
    """Show it on top, also if it is iconified; the caller sets the keyboard focus afterwards."""
    root.deiconify()
    if sys.platform == "darwin":
        _activate()
    root.lift()
    if sys.platform in ("darwin", "win32"):  # lifting orders one program's windows only
        root.attributes("-topmost", True)
        root.after_idle(root.attributes, "-topmost", False)


def _activate() -> None:
    """Make this process the active one, which Tk does not do."""
    with contextlib.suppress(ImportError):
        import AppKit

        AppKit.NSApplication.sharedApplication().activateIgnoringOtherApps_(True)
