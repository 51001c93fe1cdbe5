"""The helper's end of the pipe of `lifeline`: lines on stdin, and their end."""

from __future__ import annotations

import os
import queue
import threading
import tkinter
from collections.abc import Callable

_EVENT = "<<Lifeline>>"


class Lines:
    """The lines on stdin, one by one. `sys.stdin` is None in a windowed executable, so it is read
    below that."""

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._buffer = b""

    def next(self) -> bytes | None:
        """Wait for the next line, without its newline. None: the app has ended, or closed the
        pipe."""
        while b"\n" not in self._buffer:
            try:
                data = os.read(self._descriptor, 1 << 16)
            except OSError:  # Windows says so of a pipe whose other end was killed
                return None
            if not data:
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


def follow(root: tkinter.Tk, lines: Lines, take: Callable[[bytes], object]) -> None:
    """From the main loop on, call `take` with each line as it comes, on Tk's thread; close `root`
    when they end. (Tk watches no files on Windows.)"""
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
