"""Brings a window of ours before the others."""

from __future__ import annotations

import contextlib
import sys
import tkinter


def bring(root: tkinter.Tk) -> None:
    """Show it on top, also if it is iconified; who wants the keyboard takes it afterwards."""
    root.deiconify()
    if sys.platform == "darwin":
        _activate()
    root.lift()
    if sys.platform in ("darwin", "win32"):  # where lifting stays within one program's windows
        root.attributes("-topmost", True)
        root.after_idle(root.attributes, "-topmost", False)


def _activate() -> None:
    """Make this process the active one, which Tk does not."""
    with contextlib.suppress(ImportError):
        import AppKit

        AppKit.NSApplication.sharedApplication().activateIgnoringOtherApps_(True)
