"""Noticing sleep by two clocks."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.threads import wait_for_threads
from trayconnect.desktop.events.clock_timer import ClockTimer
from trayconnect.desktop.events.power import (
    ClockReading,
    ClockWatcher,
    TickWatcher,
    read_clocks,
    slept,
)
from trayconnect.desktop.events.watching import Waker, ready

LIMIT = 90.0
START = ClockReading(1000.0, 50.0)


@pytest.mark.parametrize(
    ("real", "awake", "expected"),
    [
        (5.0, 5.0, False),
        (5.5, 5.0, False),
        (8.5, 5.0, True),
        (3600.0, 5.0, True),
        (-3600.0, 5.0, False),  # the wall clock was set back
        (12.0, 12.0, False),  # a busy machine
        (3600.0, 3600.0, True),  # Windows: both clocks go on
    ],
)
def test_decision(real: float, awake: float, expected: bool) -> None:
    assert slept(START, ClockReading(START.real + real, START.awake + awake)) is expected


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.floats(5, 19))
def test_an_ordinary_tick_is_no_sleep(real: float, awake: float, elapsed: float) -> None:
    assert not slept(ClockReading(real, awake), ClockReading(real + elapsed, awake + elapsed))


def test_the_watcher_reports_each_sleep_and_stops() -> None:
    moments: queue.SimpleQueue[ClockReading] = queue.SimpleQueue()
    for real in (0, 5, 600, 605, 9000):
        moments.put(ClockReading(float(real), 0.0))
    woken = threading.Semaphore(0)
    last = ClockReading(9000.0, 0.0)

    def clocks() -> ClockReading:
        return last if moments.empty() else moments.get()

    watcher = TickWatcher(lambda: woken.release(), tick=0.001, clocks=clocks)
    watcher.start()
    watcher.start()
    assert [woken.acquire(timeout=LIMIT) for _ in range(4)] == [True] * 4
    watcher.stop()
    watcher.stop()
    wait_for_threads(set())
    assert not woken.acquire(blocking=False)


def test_it_can_be_started_again_and_stopped_from_its_own_callback() -> None:
    stopped = threading.Event()
    real = iter(range(0, 1_000_000, 100))

    def on_wake() -> None:
        watcher.stop()
        stopped.set()

    watcher = TickWatcher(on_wake, tick=0.001, clocks=lambda: ClockReading(float(next(real)), 0.0))
    for _ in range(2):
        stopped.clear()
        watcher.start()
        assert stopped.wait(LIMIT)
    watcher.stop()


class Jumps:
    """A pipe in place of the kernel's timer."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        self.is_closed = False

    def jump(self) -> None:
        os.write(self._writing, b"!")

    def fileno(self) -> int:
        return self._reading

    def wait_again(self) -> None:
        os.read(self._reading, 1)

    def close(self) -> None:
        self.is_closed = True
        os.close(self._reading)
        os.close(self._writing)


@pytest.mark.skipif(sys.platform == "win32", reason="it selects on pipes")
def test_a_jump_of_the_clock_is_a_sleep_only_if_the_machine_slept() -> None:
    timers = [Jumps(), Jumps()]
    now = START
    woken, looked = threading.Semaphore(0), threading.Semaphore(0)

    def clocks() -> ClockReading:
        looked.release()
        return now

    left = iter(timers)
    watcher = ClockWatcher(woken.release, lambda: next(left), tick=3600.0, clocks=clocks)
    for timer in timers:
        watcher.start()
        watcher.start()
        assert looked.acquire(timeout=LIMIT)  # as it starts
        for real, awake, is_sleep in ((-100.0, 1.0, False), (3600.0, 900.0, True)):
            now = ClockReading(now.real + real, now.awake + awake)
            timer.jump()
            assert looked.acquire(timeout=LIMIT)
            assert not is_sleep or woken.acquire(timeout=LIMIT)
        watcher.stop()
        watcher.stop()
        assert timer.is_closed
    wait_for_threads(set())
    assert not woken.acquire(blocking=False)


@pytest.mark.skipif(sys.platform == "win32", reason="it selects on pipes")
def test_without_a_jump_the_clocks_are_still_read_now_and_then() -> None:
    """As after a virtual machine was frozen, whose clock does not jump."""
    woken = threading.Semaphore(0)
    readings = itertools.chain([START], itertools.repeat(ClockReading(9000.0, 9000.0)))
    watcher = ClockWatcher(woken.release, Jumps, tick=0.001, clocks=lambda: next(readings))
    watcher.start()
    assert woken.acquire(timeout=LIMIT)
    watcher.stop()
    assert not woken.acquire(blocking=False)


@pytest.mark.skipif(sys.platform == "win32", reason="it selects on pipes")
def test_a_system_without_such_a_timer_costs_the_notice_only() -> None:
    def fail() -> Jumps:
        raise OSError("no such timer")

    watcher = ClockWatcher(lambda: None, fail)
    watcher.start()
    watcher.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux's own")
def test_the_kernels_timer_can_be_waited_for() -> None:
    """A test must not set the machine's clock: the timer stays quiet."""
    with contextlib.closing(ClockTimer()) as timer, contextlib.closing(Waker()) as waker:
        timer.wait_again()
        waker.wake()
        assert ready((timer.fileno(), waker.fileno()), LIMIT) == {waker.fileno()}


def test_the_real_clocks_run_together() -> None:
    assert not slept(read_clocks(), read_clocks())
