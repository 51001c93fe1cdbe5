"""Writes the text on the X11 clipboard to stdout, for `clipboard_paste`."""

from __future__ import annotations

import sys
import tkinter

from trayconnect.core.privacy import no_core_dumps
from trayconnect.desktop import helper_process


def main() -> int:
    """Read it, and return the exit code: 1 if there is no text."""
    no_core_dumps()
    try:
        root = tkinter.Tk(className="trayconnect")
        root.withdraw()
        text = root.clipboard_get()
        root.destroy()
    except tkinter.TclError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    helper_process.write_stdout(text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
