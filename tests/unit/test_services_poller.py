"""When a page is checked."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from trayconnect.core.cancellation import CancelToken
from trayconnect.services import base
from trayconnect.services.base import Poller, PollingService

LIMIT = 90.0


class Polls:
    """A page that answers, or not, in the order of `well`; each check waits for `may_end`."""

    def __init__(self, *well: bool) -> None:
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)
        self._well = list(well)

    def __call__(self, cancel: CancelToken) -> bool:
        self.begun.release()
        assert self.may_end.acquire(timeout=LIMIT)
        return self._well.pop(0)


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "POLL_ASKED", 0.05)


def poller(polls: Polls) -> Poller:
    """It checks once by itself, and then for a reason only."""
    return Poller("box", polls, lambda _silent: 3600.0)


def settle(poller: Poller) -> None:
    """Wait until what was asked for so far is done."""
    done = threading.Event()
    poller.put(done.set)
    wait(done)


def wait(event: threading.Event) -> None:
    assert event.wait(LIMIT)


def end(poller: Poller) -> None:
    poller.close()
    assert poller.join(LIMIT)


def test_a_refusal_while_a_check_goes_well_is_checked() -> None:
    """It may have come after the page was seen."""
    polls = Polls(True, False)
    polling = poller(polls)
    assert polls.begun.acquire(timeout=LIMIT)
    polling.refused()
    polls.may_end.release(2)
    assert polls.begun.acquire(timeout=LIMIT)
    end(polling)


def test_a_check_that_fails_says_what_refusals_meanwhile_say() -> None:
    polls = Polls(False)
    polling = poller(polls)
    assert polls.begun.acquire(timeout=LIMIT)
    polling.refused()
    polls.may_end.release()
    settle(polling)
    assert not polls.begun.acquire(timeout=0.3)
    end(polling)


@pytest.mark.parametrize("well", [True, False])
def test_a_refusal_later_is_checked(well: bool) -> None:
    polls = Polls(well, False)
    polling = poller(polls)
    polls.may_end.release(2)
    assert polls.begun.acquire(timeout=LIMIT)
    settle(polling)
    may_go_on = threading.Event()
    polling.put(lambda: wait(may_go_on))
    for _ in range(20):
        polling.refused()
    may_go_on.set()
    assert polls.begun.acquire(timeout=LIMIT)
    settle(polling)
    assert not polls.begun.acquire(timeout=0.3), "one check is enough"
    end(polling)


def test_a_job_that_cannot_begin_is_forgotten_under_the_lock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`close` looks at those under way meanwhile."""
    nothing: Any = None
    service = PollingService("box", nothing, nothing)
    kept: list[bool] = []

    class Jobs(dict[str, CancelToken]):
        def __delitem__(self, what: str) -> None:
            kept.append(service._lock.locked())
            super().__delitem__(what)

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    service._under_way = Jobs()
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    with pytest.raises(RuntimeError):
        service.spawn_once("look", lambda _: None)
    assert kept == [True]
    assert service._under_way == {}
