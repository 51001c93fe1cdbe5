"""Detects a change by polling."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from trayconnect.core.timers import Timer

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
