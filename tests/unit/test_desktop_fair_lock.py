"""One question at a time, in order, and no waiter that outlives a cancel."""

from __future__ import annotations

import threading

import pytest

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled
from trayconnect.desktop.prompts.prompter import FairLock

LIMIT = 90.0


def test_one_at_a_time_in_the_order_of_arrival() -> None:
    turns = FairLock()
    order: list[int] = []
    threads = []

    def work(number: int) -> None:
        with turns.turn(CancelToken()):
            order.append(number)

    with turns.turn(CancelToken()):
        for number in range(5):
            thread = threading.Thread(target=work, args=[number])
            thread.start()
            threads.append(thread)
            while len(turns._queue) < number + 2:  # it has taken its place in the queue
                threading.Event().wait(0.001)
        assert order == []
    for thread in threads:
        thread.join(LIMIT)
    assert order == [0, 1, 2, 3, 4]


def test_a_waiter_can_be_cancelled_while_another_holds_the_turn() -> None:
    turns = FairLock()
    cancel = CancelToken()
    outcome: list[str] = []

    def work() -> None:
        try:
            with turns.turn(cancel):
                outcome.append("held")
        except Cancelled:
            outcome.append("cancelled")

    with turns.turn(CancelToken()):
        thread = threading.Thread(target=work)
        thread.start()
        cancel.set()
        thread.join(LIMIT)
        assert outcome == ["cancelled"]
    with turns.turn(CancelToken()):
        pass


def test_a_turn_is_given_up_when_its_holder_fails() -> None:
    turns = FairLock()
    with pytest.raises(ZeroDivisionError), turns.turn(CancelToken()):
        raise ZeroDivisionError
    with turns.turn(CancelToken()):
        pass


def test_a_cancelled_question_does_not_even_queue() -> None:
    turns = FairLock()
    cancel = CancelToken()
    cancel.set()
    with pytest.raises(Cancelled), turns.turn(cancel):
        raise AssertionError
    with turns.turn(CancelToken()):
        pass
