"""Owns the X11 clipboard for `clipboard`: text on stdin, "ready" on stdout. Ends when something
else is copied, after a while, or when the app has ended."""

from __future__ import annotations

import os
import sys
import time
import tkinter

from trayconnect.core.privacy import no_core_dumps
from trayconnect.desktop import helper_process

LIMIT = 600.0
"""Seconds after which the text is no longer offered: it may be a link with a token."""

_CHECK_MS = 1000


def main() -> int:
    """Serve one text, and return the exit code."""
    no_core_dumps()
    parent = os.getppid()
    text = helper_process.read_stdin().decode(errors="replace")
    try:
        root = tkinter.Tk(className="trayconnect")
    except tkinter.TclError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    root.withdraw()

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


if __name__ == "__main__":
    sys.exit(main())
