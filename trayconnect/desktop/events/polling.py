"""Detects a change by polling."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_STOP_LIMIT = 5.0

T = TypeVar("T")


class PollingWatcher(Generic[T]):
    """Calls `on_change`, on a thread of its own, when `changed` is true for two successive
    readings.

    It reads only between `start` and `stop`; both may be called repeatedly."""

    def __init__(
        self,
        name: str,
        interval: float,
        read: Callable[[], T],
        changed: Callable[[T, T], bool],
        on_change: Callable[[], None],
    ) -> None:
        """`name` is the thread's name, `interval` is in seconds."""
        self._name = name
        self._interval = interval
        self._read = read
        self._changed = changed
        self._on_change = on_change
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._stopped = threading.Event()
                self._thread = threading.Thread(
                    target=self._watch, args=[self._stopped], name=self._name, daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """Join the thread, unless called on it."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._stopped.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_STOP_LIMIT)

    def _watch(self, stopped: threading.Event) -> None:
        before = self._read()
        while not stopped.wait(self._interval):
            now = self._read()
            if self._changed(before, now):
                self._on_change()
            before = now
