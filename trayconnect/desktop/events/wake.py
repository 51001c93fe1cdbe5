"""Detects that the machine was suspended."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

logger = logging.getLogger(__name__)

TICK = 5.0
"""Seconds between two readings of the clocks."""

_AHEAD = 3.0
_LATE = 15.0
_STOP_LIMIT = 5.0


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Two clocks, read together, in seconds."""

    real: float
    """Continues during suspend."""
    awake: float
    """Stops during suspend, on most systems."""


def real_clock() -> float:
    """CLOCK_BOOTTIME (Linux) continues during suspend and is never set; elsewhere the wall
    clock."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    else:  # noqa: RET505 - mypy calls code after a platform's return unreachable
        return time.time()


def read_clocks() -> ClockReading:
    return ClockReading(real_clock(), time.monotonic())


def slept(before: ClockReading, now: ClockReading, tick: float = TICK) -> bool:
    """Whether the machine was suspended between two readings that should be `tick` seconds apart.

    Either the real clock ran ahead of the one that stops during suspend; or, where Python's
    monotonic clock continues (Windows), the second reading came much too late, as also after
    SIGSTOP. A wall clock that was set forward, or a very busy machine, looks the same; that costs
    one keepalive request."""
    real, awake = now.real - before.real, now.awake - before.awake
    return real - awake > _AHEAD or awake > tick + _LATE


class WakeWatcher:
    """Calls `on_wake`, on a thread of its own, soon after the machine resumes.

    `tick` (seconds) and `clocks` are for tests. The clocks are read only between `start` and
    `stop`; both may be called repeatedly."""

    def __init__(
        self,
        on_wake: Callable[[], None],
        tick: float = TICK,
        clocks: Callable[[], ClockReading] = read_clocks,
    ) -> None:
        self._on_wake = on_wake
        self._tick = tick
        self._clocks = clocks
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._stopped = threading.Event()
                self._thread = threading.Thread(
                    target=self._watch, args=[self._stopped], name="tc-wake", daemon=True
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
        before = self._clocks()
        while not stopped.wait(self._tick):
            now = self._clocks()
            if slept(before, now, self._tick):
                logger.info("the machine slept for about %.0f s", now.real - before.real)
                self._on_wake()
            before = now
