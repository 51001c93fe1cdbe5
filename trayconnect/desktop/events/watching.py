"""Threads that watch something: by polling, or in a `select` that can be left."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from trayconnect.core.threads import Timer


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


if sys.platform == "linux":

    def ready(descriptors: Sequence[int], timeout: float | None) -> set[int]:
        """Those that can be read, after at most `timeout` seconds."""
        poll = select.poll()  # select() fails for descriptors above 1023
        for descriptor in descriptors:
            poll.register(descriptor, select.POLLIN)
        return {each for each, _ in poll.poll(None if timeout is None else timeout * 1000)}
else:

    def ready(descriptors: Sequence[int], timeout: float | None) -> set[int]:
        return set(select.select(descriptors, [], [], timeout)[0])


_STOP_LIMIT = 5.0

T = TypeVar("T")


class PollingWatcher(Generic[T]):
    """Calls `on_change` when `changed` is true for two successive readings.

    It reads only between `start` and `stop`; both may be called repeatedly. `on_change` and `read`
    must be quick."""

    def __init__(
        self,
        interval: float,
        read: Callable[[], T],
        changed: Callable[[T, T], bool],
        on_change: Callable[[], None],
    ) -> None:
        """`interval` is in seconds."""
        self._interval = interval
        self._read = read
        self._changed = changed
        self._on_change = on_change
        self._lock = threading.Lock()
        self._timer: Timer | None = None

    def start(self) -> None:
        with self._lock:
            if self._timer is None:
                before = self._read()

                def poll() -> None:
                    nonlocal before
                    timer.set(self._interval)
                    earlier, before = before, self._read()
                    if self._changed(earlier, before):
                        self._on_change()

                timer = Timer(poll)
                timer.set(self._interval)
                self._timer = timer

    def stop(self) -> None:
        """Returns after a call of `on_change` has returned, unless called by it."""
        with self._lock:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop(_STOP_LIMIT)
