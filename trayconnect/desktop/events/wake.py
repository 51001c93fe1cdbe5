"""Detects that the machine was suspended."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from trayconnect.desktop.events.polling import PollingWatcher

logger = logging.getLogger(__name__)

TICK = 5.0
"""Seconds between two readings of the clocks."""

_AHEAD = 3.0
_LATE = 15.0


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


class WakeWatcher(PollingWatcher[ClockReading]):
    """Calls `on_wake` soon after the machine resumes. `tick` (seconds) and `clocks` are for
    tests."""

    def __init__(
        self,
        on_wake: Callable[[], None],
        tick: float = TICK,
        clocks: Callable[[], ClockReading] = read_clocks,
    ) -> None:
        super().__init__(tick, clocks, self._slept, on_wake)

    def _slept(self, before: ClockReading, now: ClockReading) -> bool:
        if not slept(before, now, self._interval):
            return False
        logger.info("the machine slept for about %.0f s", now.real - before.real)
        return True
