"""Suspend: detects it, and asks macOS not to slow the program down.

macOS slows down an app without a window (App Nap): its timers fire late, and with them the
keepalive requests of a link."""

from __future__ import annotations

import importlib
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trayconnect.desktop.events.watching import PollingWatcher

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


USER_INITIATED_ALLOWING_IDLE_SYSTEM_SLEEP = 0x00FFFFFF & ~(1 << 20)
"""NSActivityUserInitiatedAllowingIdleSystemSleep: the machine itself may sleep."""
REASON = "SSH tunnels are up"


class SystemActivity:
    """`foundation`: PyObjC's Foundation; None on systems that slow no program down."""

    def __init__(self, foundation: Any = None) -> None:  # noqa: ANN401 - PyObjC has no types
        self._foundation = foundation
        self._held: Any = None

    def hold(self, active: bool) -> None:
        """Begin or end the activity; from one thread at a time."""
        if self._foundation is None or active is (self._held is not None):
            return
        process = self._foundation.NSProcessInfo.processInfo()
        if active:
            self._held = process.beginActivityWithOptions_reason_(
                USER_INITIATED_ALLOWING_IDLE_SYSTEM_SLEEP, REASON
            )
        else:
            held, self._held = self._held, None
            process.endActivity_(held)


def make_activity() -> SystemActivity:
    """The activity of this system."""
    if sys.platform == "darwin":
        try:
            return SystemActivity(importlib.import_module("Foundation"))
        except ImportError as error:  # a dependency of pystray
            logger.warning("macOS may slow tunnels down: %s", error)
    return SystemActivity()
