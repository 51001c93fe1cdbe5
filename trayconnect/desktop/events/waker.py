"""Wakes a thread out of a `select`."""

from __future__ import annotations

import os
import threading


class Waker:
    """A pipe whose reading end a thread selects on, together with its other descriptors (POSIX).

    `wake` may be called from any thread and at any time, also after `close`: `CancelToken.set` may
    call its callbacks after the waiting thread has left."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reading, self._writing = os.pipe()
        self._closed = False
        self._woken = False

    def fileno(self) -> int:
        return self._reading

    def wake(self) -> None:
        """Make the pipe readable, permanently."""
        with self._lock:
            if not self._closed and not self._woken:
                self._woken = True
                os.write(self._writing, b"!")

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._reading)
                os.close(self._writing)
