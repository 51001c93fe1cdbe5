"""The pipe from the app to a helper's stdin, which ends with the app on every system.

The first line is what the helper is to show; the lines after it tell it what to do. However the app
ends, the system closes the pipe, and the helper exits (see `tk_lifeline`).
"""

from __future__ import annotations

import contextlib
import subprocess
import threading

from trayconnect.processes import let_come_forward

FRONT = b"front"
"""Asks a window to come before the others."""


class Lifeline:
    """The app's end of it: the helper exits when this is closed. From any thread.

    Takes `process.stdin`, which must be a pipe, so that `communicate` leaves it alone."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        self._pipe, process.stdin = process.stdin, None
        self._lock = threading.Lock()

    def send(self, line: bytes) -> None:
        """Write a line, and wait for room in the pipe. Does nothing if the helper has ended."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._pipe.write(line + b"\n")
            self._pipe.flush()

    def is_sending(self) -> bool:
        """Whether a line is being written; it may be waiting for room in the pipe."""
        return self._lock.locked()

    def call_forward(self) -> None:
        """Does nothing while the first line is being written: there is no window yet."""
        if not self.is_sending():
            let_come_forward()
            self.send(FRONT)

    def close(self) -> None:
        """Let the helper exit. May be called twice, but would wait for another thread that is
        sending to a helper that does not read."""
        with self._lock, contextlib.suppress(OSError):
            self._pipe.close()
