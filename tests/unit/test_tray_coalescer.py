"""Work that is asked for more often than it can be done."""

from __future__ import annotations

import threading

import pytest

from trayconnect.tray.display import Coalescer

LIMIT = 90.0


class Work:
    """Counts its calls, and waits in each for leave to end."""

    def __init__(self) -> None:
        self.calls = 0
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)

    def __call__(self) -> float:
        self.calls += 1
        self.begun.release()
        assert self.may_end.acquire(timeout=LIMIT)
        return 0.0


def test_many_asks_during_one_call_are_one_more() -> None:
    work = Work()
    refresher = Coalescer(work)
    refresher.ask()
    refresher.start()
    assert work.begun.acquire(timeout=LIMIT)
    for _ in range(50):
        refresher.ask()
    work.may_end.release()
    assert work.begun.acquire(timeout=LIMIT), "what was asked meanwhile is not lost"
    work.may_end.release()
    refresher.stop()
    assert work.calls == 2


def test_a_failure_does_not_end_the_next(caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()
    outcomes = iter([RuntimeError("no"), None])

    def work() -> float:
        outcome = next(outcomes)
        if outcome is not None:
            refresher.ask()
            raise outcome
        done.set()
        return 0.0

    refresher = Coalescer(work)
    refresher.start()
    refresher.ask()
    assert done.wait(LIMIT)
    refresher.stop()
    assert "a refresh failed" in caplog.text


def test_it_ends_without_having_been_asked() -> None:
    refresher = Coalescer(lambda: 0.0)
    refresher.start()
    refresher.stop()
    assert "tc-refresh" not in {thread.name for thread in threading.enumerate()}


def test_it_rests_as_long_as_the_work_says_and_ends_all_the_same() -> None:
    work = Work()
    rested = Coalescer(lambda: work() + 3600.0)
    rested.ask()
    rested.start()
    assert work.begun.acquire(timeout=LIMIT)
    rested.ask()
    work.may_end.release()
    rested.stop()
    assert work.calls == 1
