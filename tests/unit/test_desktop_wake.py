"""Noticing sleep by two clocks."""

from __future__ import annotations

import queue
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.threads import wait_for_threads
from trayconnect.desktop.events.power import ClockReading, WakeWatcher, read_clocks, slept

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

    watcher = WakeWatcher(lambda: woken.release(), tick=0.001, clocks=clocks)
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

    watcher = WakeWatcher(on_wake, tick=0.001, clocks=lambda: ClockReading(float(next(real)), 0.0))
    for _ in range(2):
        stopped.clear()
        watcher.start()
        assert stopped.wait(LIMIT)
    watcher.stop()


def test_the_real_clocks_run_together() -> None:
    assert not slept(read_clocks(), read_clocks())
