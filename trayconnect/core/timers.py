"""Timers that share one thread, "tc-timers", which lives while one of them is set."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Timer:
    """Calls `call` on the shared thread; it must be quick and not block. From any thread."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.due: float | None = None
        """On the monotonic clock; None while it is not set."""
        self._has_ended = False

    def set(self, seconds: float) -> None:
        """Call in so many seconds, or when an earlier setting says so; not after `stop`. Raises
        RuntimeError if the thread cannot be started."""
        due = time.monotonic() + seconds
        with _clock.changed:
            if not self._has_ended and (self.due is None or due < self.due):
                _clock.add(self, due)

    def stop(self, timeout: float) -> None:
        """No call begins after this. Wait for one that runs, unless called by it."""
        with _clock.changed:
            self._has_ended = True
            self.due = None
            _clock.changed.notify_all()
            if not _clock.is_current():
                _clock.changed.wait_for(lambda: _clock.running is not self, timeout)


class _Clock:
    """The timers that are set, and the thread that waits for them."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        """Guards everything here, and the timers."""
        self.running: Timer | None = None
        self._heap: list[tuple[float, int, Timer]] = []
        self._serial = itertools.count()
        self._thread: threading.Thread | None = None

    def add(self, timer: Timer, due: float) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="tc-timers", daemon=True)
            thread.start()
            self._thread = thread
        timer.due = due
        heapq.heappush(self._heap, (due, next(self._serial), timer))
        self.changed.notify_all()

    def is_current(self) -> bool:
        return threading.current_thread() is self._thread

    def _run(self) -> None:
        while (timer := self._next()) is not None:
            try:
                timer.call()
            except Exception:
                logger.exception("a bug in a timer")

    def _next(self) -> Timer | None:
        """Wait for the next timer; None if none is set."""
        with self.changed:
            self.running = None
            self.changed.notify_all()
            while self._heap:
                due, _, timer = self._heap[0]
                left = due - time.monotonic()
                if timer.due != due:  # stopped, or set to an earlier time
                    heapq.heappop(self._heap)
                elif left > 0:
                    self.changed.wait(left)
                else:
                    heapq.heappop(self._heap)
                    timer.due = None
                    self.running = timer
                    return timer
            self._thread = None
            return None


_clock = _Clock()
