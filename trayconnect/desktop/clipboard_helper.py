"""The helper processes of the X11 clipboard: Tk serves a text, or reads one."""

from __future__ import annotations

import os
import time
import tkinter

from trayconnect.core.privacy import no_core_dumps
from trayconnect.desktop import helper_process
from trayconnect.desktop.windows import tk_window

LIMIT = 600.0
"""Seconds after which the text is no longer offered: it may be a link with a token."""

_CHECK_MS = 1000


def serve() -> int:
    """Offer the text on stdin, and write "ready" to stdout. Returns the exit code when something
    else is copied, after a while, or when the app has ended."""
    no_core_dumps()
    parent = os.getppid()
    text = helper_process.read_stdin().decode(errors="replace")
    root = tk_window.make_root()

    def supply(offset: str, length: str) -> str:
        return text[int(offset) : int(offset) + int(length)]

    # Not `clipboard_append`: Tk would then not report the loss of the selection.
    for target in ("UTF8_STRING", "STRING"):
        root.selection_handle(supply, selection="CLIPBOARD", type=target, format=target)
    root.selection_own(selection="CLIPBOARD", command=root.destroy)
    root.update()
    deadline = time.monotonic() + LIMIT

    def check() -> None:
        if os.getppid() != parent or time.monotonic() > deadline:
            root.destroy()
        else:
            root.after(_CHECK_MS, check)

    check()
    helper_process.write_stdout(b"ready\n")
    root.mainloop()
    return 0


def read() -> int:
    """Write the text on the clipboard to stdout. Returns the exit code."""
    no_core_dumps()
    root = tk_window.make_root()
    try:
        text = root.clipboard_get()
    except tkinter.TclError as error:  # there is no text
        raise SystemExit(str(error)) from None
    helper_process.write_stdout(text.encode())
    return 0
