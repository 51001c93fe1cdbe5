"""What joins a helper's window to the app: its stdin, which ends with the app on every system.

The first line is what the helper is to show; the lines after it tell it what to do. When the app
is gone, however it went, the system closes the pipe, and the helper ends (see `tk_lifeline`).
"""

from __future__ import annotations

import contextlib
import subprocess
import threading

from trayconnect.core.subprocesses import let_come_forward

FRONT = b"front"
"""To a window: come before the others."""


class Lifeline:
    """Our end, to be kept open for as long as the helper is to live. From any thread.

    Takes `process.stdin`, which must be a pipe, so that `communicate` leaves it alone."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        self._pipe, process.stdin = process.stdin, None
        self._lock = threading.Lock()

    def send(self, line: bytes) -> None:
        """Waits until there is room in the pipe; nothing happens when the helper has ended."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._pipe.write(line + b"\n")
            self._pipe.flush()

    def is_sending(self) -> bool:
        """Whether a line is being written; it may be waiting for room in the pipe."""
        return self._lock.locked()

    def call_forward(self) -> None:
        """Nothing happens while the helper is still being told what to show: it has no window."""
        if not self.is_sending():
            let_come_forward()
            self.send(FRONT)

    def close(self) -> None:
        """Let the helper go. May be called twice, but not while another thread sends to a helper
        that does not read."""
        with self._lock, contextlib.suppress(OSError):
            self._pipe.close()
