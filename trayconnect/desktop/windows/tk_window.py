"""What each of our Tk windows needs: coming to the front, and lines from the app on stdin (see
`helper_process.Lifeline`)."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import tkinter
from collections.abc import Callable


def make_root() -> tkinter.Tk:
    """The hidden main window. Ends the process with a message if there is no display."""
    try:
        root = tkinter.Tk(className="trayconnect")
    except tkinter.TclError as error:
        raise SystemExit(str(error)) from None
    root.withdraw()
    return root


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


_EVENT = "<<Lifeline>>"


class StdinLines:
    """The lines on stdin. `sys.stdin` is None in a windowed executable, so this reads the
    descriptor."""

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._buffer = b""

    def next(self) -> bytes | None:
        """Wait for the next line, without its end; None: the app has ended, or closed the pipe."""
        while b"\n" not in self._buffer:
            try:
                data = os.read(self._descriptor, 1 << 16)
            except OSError:  # Windows reports this for a pipe whose other end was killed
                return None
            if not data:
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


def follow(root: tkinter.Tk, lines: StdinLines, take: Callable[[bytes], object]) -> None:
    """From the main loop on, call `take` with each line as it arrives, on Tk's thread; close `root`
    after the last one. (Tk cannot watch files on Windows.)"""
    taken: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def read() -> None:
        while True:
            line = lines.next()
            taken.put(line)
            try:
                root.event_generate(_EVENT, when="tail")
            except (tkinter.TclError, RuntimeError):  # the window was closed meanwhile
                return
            if line is None:
                return

    def on_event(_event: object) -> None:
        while not taken.empty():
            line = taken.get()
            if line is None:
                root.destroy()
                return
            take(line)

    root.bind(_EVENT, on_event)
    thread = threading.Thread(target=read, name="tc-lifeline", daemon=True)
    root.after_idle(thread.start)
