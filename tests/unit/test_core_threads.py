"""Jobs in order, timers on one thread, and no thread without either."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial

import pytest

from tests.support.forwarding import eventually
from tests.support.threads import our_threads, wait_for_threads
from trayconnect.core import threads
from trayconnect.core.errors import Cancelled
from trayconnect.core.threads import JobThread, Timer

LIMIT = 90.0
LONG = 3600.0


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    wait_for_threads(set())


def test_the_earliest_setting_counts_and_many_share_a_thread() -> None:
    called: list[int] = []
    done = threading.Semaphore(0)

    def call(number: int) -> None:
        called.append(number)
        done.release()

    timers = [Timer(partial(call, number)) for number in range(3)]
    for timer in timers:
        timer.set(LONG)
    assert our_threads() == ["tc-timers"]
    for number in (2, 0, 1):
        timers[number].set(0.0)
        timers[number].set(LONG)
        assert done.acquire(timeout=LIMIT)
    assert called == [2, 0, 1]
    assert not done.acquire(blocking=False)


def test_a_call_may_set_its_timer_again_and_stop_it() -> None:
    calls = 0
    done = threading.Event()

    def call() -> None:
        nonlocal calls
        calls += 1
        timer.set(0.0)
        if calls == 100:
            timer.stop(LIMIT)
            timer.set(0.0)
            done.set()

    timer = Timer(call)
    timer.set(0.0)
    assert done.wait(LIMIT)
    wait_for_threads(set())
    assert calls == 100


def test_a_stop_waits_for_the_call_that_runs() -> None:
    begun, go = threading.Event(), threading.Event()
    ended: list[str] = []

    def call() -> None:
        begun.set()
        assert go.wait(LIMIT)
        ended.append("call")

    timer = Timer(call)
    timer.set(0.0)
    assert begun.wait(LIMIT)
    timer.stop(0.01)
    assert ended == []
    go.set()
    timer.stop(LIMIT)
    assert ended == ["call"]
    Timer(call).stop(LONG)  # no thread to wait for


def test_a_bug_in_one_leaves_the_others(caplog: pytest.LogCaptureFixture) -> None:
    def bug() -> None:
        raise ZeroDivisionError

    done = threading.Event()
    broken, other = Timer(bug), Timer(done.set)
    broken.set(0.0)
    other.set(0.001)
    assert done.wait(LIMIT)
    assert "ZeroDivisionError" in caplog.text


def test_threads_that_set_and_stop_at_once() -> None:
    def work() -> None:
        for _ in range(300):
            called = threading.Event()
            timer = Timer(called.set)
            timer.set(0.0)
            assert called.wait(LIMIT)
            timer.set(LONG)
            timer.stop(LIMIT)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()


def test_a_stop_does_not_wait_for_a_timer_that_is_set_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = threads._clock
    stopped, other = Timer(lambda: None), Timer(lambda: None)
    stopped.set(LONG)
    eventually(lambda: bool(clock.changed._waiters), "the timers' thread to wait")  # type: ignore[attr-defined]
    is_done = clock.is_done
    answers: list[bool] = []

    def is_done_just_before(timer: Timer, thread: threading.Thread) -> bool:
        answers.append(is_done(timer, thread))
        if len(answers) == 1:
            other.set(2 * LONG)
        return answers[-1]

    monkeypatch.setattr(clock, "is_done", is_done_just_before)
    stopping = threading.Thread(target=stopped.stop, args=[LONG])
    stopping.start()
    stopping.join(LIMIT)
    has_stopped = not stopping.is_alive()
    other.stop(LIMIT)  # which ends a stop that waits
    stopping.join(LIMIT)
    assert (has_stopped, answers[:2]) == (True, [False, True])


def test_jobs_run_in_order_whatever_they_raise(caplog: pytest.LogCaptureFixture) -> None:
    ran: list[int] = []
    jobs = JobThread("test", "box")

    def job(number: int) -> None:
        ran.append(number)
        if number == 1:
            raise Cancelled
        if number == 2:
            raise ZeroDivisionError

    for number in range(100):
        jobs.put(partial(job, number))
    assert jobs.join(LIMIT)
    assert our_threads() == []
    jobs.put(partial(job, 100))
    assert jobs.join(LIMIT)
    assert ran == list(range(101))
    assert "box: a bug in test" in caplog.text
    assert "Cancelled" not in caplog.text
