"""The loop of a transport's thread."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.forwarding import LIMIT
from trayconnect.core.event_loop import READ, EventLoop


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = EventLoop()
    loop.enter()
    yield loop
    loop.close()


def on_a_thread(*jobs: object) -> threading.Thread:
    thread = threading.Thread(target=lambda: [job() for job in jobs])  # type: ignore[operator]
    thread.start()
    return thread


def test_jobs_of_other_threads_run_in_order(loop: EventLoop) -> None:
    ran: list[int] = []
    number = 10_000

    def post() -> None:
        for one in range(number):
            loop.call(lambda one=one: ran.append(one))  # type: ignore[misc]

    thread = on_a_thread(post)
    while len(ran) < number:
        loop.turn()
    thread.join(LIMIT)
    assert ran == list(range(number))


def test_many_jobs_do_not_keep_sockets_waiting(loop: EventLoop) -> None:
    ours, theirs = socket.socketpair()
    seen: list[str] = []

    def again() -> None:
        seen.append("job")
        loop.call(again)

    with ours, theirs:
        loop.watch(ours, 0, READ, lambda _: seen.append("event"))
        theirs.send(b"x")
        loop.call(again)
        while seen.count("event") < 3:
            loop.turn()
        assert "job" in seen
        for _ in range(1000):
            loop.call(lambda: seen.append("one of many"))
        loop.turn()
        assert 0 < seen.count("one of many") < 1000


def test_a_job_wakes_the_loop_and_waits_no_longer_than_its_limit(loop: EventLoop) -> None:
    ran: list[str] = []
    thread = on_a_thread(
        lambda: loop.run_and_wait(lambda: ran.append("a job"), LIMIT),
        lambda: ran.append("waited"),
    )
    while "a job" not in ran:
        loop.turn()
    thread.join(LIMIT)
    assert ran == ["a job", "waited"]
    on_a_thread(lambda: loop.run_and_wait(lambda: ran.append("late"), 0.01)).join(LIMIT)
    assert "late" not in ran


def test_who_waits_is_woken_by_the_end(loop: EventLoop) -> None:
    posted, done = threading.Event(), threading.Event()

    class Loop(EventLoop):
        def call(self, job: object) -> bool:
            found = super().call(job)  # type: ignore[arg-type]
            posted.set()
            return found

    waiting = Loop()
    on_a_thread(lambda: waiting.run_and_wait(lambda: None, LIMIT), done.set)
    assert posted.wait(LIMIT)
    waiting.close()
    assert done.wait(LIMIT)


def test_timers_run_when_they_are_due_and_not_when_they_are_cancelled(loop: EventLoop) -> None:
    ran: list[int] = []
    now = time.monotonic()
    loop.call_at(now + 0.02, lambda: ran.append(2))
    loop.call_at(now + 0.01, lambda: ran.append(1))
    timer = loop.call_at(now, lambda: ran.append(0))
    timer.cancel()
    timer.cancel()
    while len(ran) < 2:
        loop.turn()
    assert ran == [1, 2]
    assert time.monotonic() >= now + 0.02


def test_a_socket_that_was_closed_while_it_was_watched_is_in_nobodys_way(loop: EventLoop) -> None:
    """Its descriptor is soon that of another socket."""
    seen: list[str] = []
    ours, theirs = socket.socketpair()
    loop.watch(ours, 0, READ, lambda _: seen.append("the old one"))
    number = ours.fileno()
    ours.close()
    theirs.close()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert number in (ours.fileno(), theirs.fileno())
        sock, other = (ours, theirs) if ours.fileno() == number else (theirs, ours)
        loop.watch(sock, 0, READ, lambda _: seen.append("the new one"))
        other.send(b"x")
        loop.turn()
    assert seen == ["the new one"]
    with pytest.raises(OSError):
        loop.watch(ours, 0, READ, lambda _: None)


def test_jobs_that_wait_at_its_end_run_and_find_it_ended(caplog: pytest.LogCaptureFixture) -> None:
    """A client whose channel was to be opened must hear of the end."""
    loop = EventLoop()
    ran: list[str] = []

    def carry() -> None:
        if not loop.run(lambda: ran.append("carried")):
            ran.append("refused")

    def buggy() -> None:
        raise ZeroDivisionError

    loop.enter()
    for job in (carry, buggy, carry):
        assert loop.call(job)
    loop.close()
    loop.close()
    assert ran == ["refused", "refused"]
    assert not loop.call(carry)
    assert "a bug" in caplog.text
