from __future__ import annotations

import threading

import pytest

from tests.support.forwarding import LIMIT, eventually
from tests.support.threads import our_threads
from trayconnect.forwarding import workers as workers_module
from trayconnect.forwarding.workers import _IDLE_LIMIT, Workers


def meet(everyone: threading.Barrier) -> None:
    everyone.wait()


def test_jobs_run_at_once_however_many() -> None:
    workers = Workers("box")
    everyone = threading.Barrier(51, timeout=LIMIT)
    for _ in range(50):
        workers.start(lambda: meet(everyone))
    meet(everyone)
    assert workers.close(LIMIT)
    assert our_threads() == []


def test_a_thread_is_used_again() -> None:
    workers = Workers("box")
    seen: list[int] = []
    for _ in range(20):
        workers.start(lambda: seen.append(threading.get_ident()))
        eventually(lambda: workers._idle == 1, "the end of the job")
    assert len(seen) == 20
    assert len(set(seen)) == 1
    assert workers.close(LIMIT)


def test_only_a_few_stay_idle() -> None:
    workers = Workers("box")
    everyone = threading.Barrier(_IDLE_LIMIT * 2, timeout=LIMIT)
    for _ in range(_IDLE_LIMIT * 2):
        workers.start(lambda: meet(everyone))
    eventually(lambda: len(our_threads()) == _IDLE_LIMIT, "the end of the others")
    assert workers.close(LIMIT)
    assert our_threads() == []


def test_idle_threads_end_after_a_while_and_no_job_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, "_IDLE_SECONDS", 0.001)
    workers = Workers("box")
    done = threading.Semaphore(0)
    for _ in range(300):
        workers.start(done.release)
        workers.start(done.release)
        for _ in range(2):
            assert done.acquire(timeout=LIMIT)
    eventually(lambda: our_threads() == [], "the end of idle threads")
    assert workers._idle == 0
    assert workers.close(LIMIT)


def test_close_waits_for_jobs_and_for_what_they_start() -> None:
    workers = Workers("box")
    go, done = threading.Event(), threading.Event()

    def first() -> None:
        assert go.wait(LIMIT)
        workers.start(done.set)

    workers.start(first)
    assert not workers.close(0.05)
    go.set()
    assert workers.close(LIMIT)
    assert done.is_set()
    assert our_threads() == []


def test_a_job_may_close() -> None:
    workers = Workers("box")
    outcome: list[bool] = []
    workers.start(lambda: outcome.append(workers.close(LIMIT)))
    eventually(lambda: outcome == [True], "the end of close")
    assert workers.close(LIMIT)
    assert our_threads() == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_in_a_job_costs_only_its_thread() -> None:
    workers = Workers("box")

    def bug() -> None:
        raise KeyError

    workers.start(bug)
    done = threading.Event()
    workers.start(done.set)
    assert done.wait(LIMIT)
    assert workers.close(LIMIT)
    assert our_threads() == []
