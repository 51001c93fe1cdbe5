"""Ties a helper's window to the app: its stdin, which the system closes when the app ends.

The first line is the content to show; the following lines are commands. When the app has ended, for
whatever reason, the system closes the pipe, and the helper ends (see `tk_lifeline`)."""

from __future__ import annotations

import contextlib
import subprocess
import threading

from trayconnect.core.subprocesses import let_come_forward

FRONT = b"front"
"""Command to a window: raise to the front."""


class Lifeline:
    """The app's end, to be kept open while the helper should run. From any thread.

    Takes `process.stdin`, which must be a pipe, so that `communicate` does not use it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        self._pipe, process.stdin = process.stdin, None
        self._lock = threading.Lock()

    def send(self, line: bytes) -> None:
        """Blocks until the pipe has room; does nothing if the helper has ended."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._pipe.write(line + b"\n")
            self._pipe.flush()

    def is_sending(self) -> bool:
        """Whether a line is being written; the pipe may be full."""
        return self._lock.locked()

    def call_forward(self) -> None:
        """Does nothing while the helper is still receiving its content: it has no window yet."""
        if not self.is_sending():
            let_come_forward()
            self.send(FRONT)

    def close(self) -> None:
        """End the helper. May be called twice, but not while another thread sends to a helper that
        does not read."""
        with self._lock, contextlib.suppress(OSError):
            self._pipe.close()
