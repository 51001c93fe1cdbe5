"""Suspend: detects it, and asks macOS not to slow the program down.

macOS slows down an app without a window (App Nap): its timers fire late, and with them the
keepalive requests of a link."""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from trayconnect.desktop.events.clock_timer import ClockTimer
from trayconnect.desktop.events.watching import PollingWatcher, Waker, ready

logger = logging.getLogger(__name__)

TICK = 5.0
"""Seconds between two readings of the clocks."""
RARE_TICK = 60.0
"""The same where the system reports a jump of the clock: a virtual machine that was frozen, or this
process, sees none."""

_STOP_LIMIT = 5.0

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


def _has_slept(before: ClockReading, now: ClockReading, tick: float) -> bool:
    if not slept(before, now, tick):
        return False
    logger.info("the machine slept for about %.0f s", now.real - before.real)
    return True


class TickWatcher(PollingWatcher[ClockReading]):
    """Calls `on_wake` soon after the machine resumes. `tick` (seconds) and `clocks` are for
    tests."""

    def __init__(
        self,
        on_wake: Callable[[], None],
        tick: float = TICK,
        clocks: Callable[[], ClockReading] = read_clocks,
    ) -> None:
        super().__init__(tick, clocks, lambda before, now: _has_slept(before, now, tick), on_wake)


class ClockWatcher:
    """Linux: the same, as soon as the kernel reports it, on a thread of its own.

    `open_timer`, `tick` and `clocks` are for tests. `start` and `stop` may be called
    repeatedly."""

    def __init__(
        self,
        on_wake: Callable[[], None],
        open_timer: Callable[[], JumpTimer] = ClockTimer,
        tick: float = RARE_TICK,
        clocks: Callable[[], ClockReading] = read_clocks,
    ) -> None:
        self._on_wake = on_wake
        self._open_timer = open_timer
        self._tick = tick
        self._clocks = clocks
        self._lock = threading.Lock()
        self._waker: Waker | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        with self._lock, contextlib.ExitStack() as resources:
            if self._thread is not None:
                return
            try:
                timer = resources.enter_context(contextlib.closing(self._open_timer()))
                waker = resources.enter_context(contextlib.closing(Waker()))
                thread = threading.Thread(
                    target=self._watch, args=[timer, waker], name="tc-wake", daemon=True
                )
                thread.start()
            except (OSError, RuntimeError) as error:
                logger.warning("a suspend is not noticed: %s", error)
                return
            self._waker, self._thread = waker, thread
            resources.pop_all()

    def stop(self) -> None:
        """Join the thread, unless called on it."""
        with self._lock:
            thread, self._thread = self._thread, None
            waker, self._waker = self._waker, None
        if waker is not None:
            waker.wake()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_STOP_LIMIT)

    def _watch(self, timer: JumpTimer, waker: Waker) -> None:
        with contextlib.closing(timer), contextlib.closing(waker):
            before = self._clocks()
            while True:
                found = ready((timer.fileno(), waker.fileno()), self._tick)
                if waker.fileno() in found:
                    return
                if found:
                    timer.wait_again()
                earlier, before = before, self._clocks()
                if _has_slept(earlier, before, self._tick):
                    self._on_wake()


class JumpTimer(Protocol):
    """See `ClockTimer`."""

    def fileno(self) -> int: ...

    def wait_again(self) -> None: ...

    def close(self) -> None: ...


if sys.platform == "linux":
    WakeWatcher = ClockWatcher
else:
    WakeWatcher = TickWatcher


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
