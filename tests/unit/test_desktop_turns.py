"""One question at a time, in order, and no waiter that outlives a cancel."""

from __future__ import annotations

import threading

import pytest

from trayconnect.cancel import Cancel
from trayconnect.desktop.turns import Turns
from trayconnect.errors import Cancelled

LIMIT = 20.0


def test_one_at_a_time_in_the_order_of_arrival() -> None:
    turns = Turns()
    order: list[int] = []
    threads = []

    def work(number: int) -> None:
        with turns.turn(Cancel()):
            order.append(number)

    with turns.turn(Cancel()):
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
    turns = Turns()
    cancel = Cancel()
    outcome: list[str] = []

    def work() -> None:
        try:
            with turns.turn(cancel):
                outcome.append("held")
        except Cancelled:
            outcome.append("cancelled")

    with turns.turn(Cancel()):
        thread = threading.Thread(target=work)
        thread.start()
        cancel.set()
        thread.join(LIMIT)
        assert outcome == ["cancelled"]
    with turns.turn(Cancel()):
        pass


def test_a_turn_is_given_up_when_its_holder_fails() -> None:
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.turn(Cancel()):
        raise ZeroDivisionError
    with turns.turn(Cancel()):
        pass


def test_a_cancelled_question_does_not_even_queue() -> None:
    turns = Turns()
    cancel = Cancel()
    cancel.set()
    with pytest.raises(Cancelled), turns.turn(cancel):
        raise AssertionError
    with turns.turn(Cancel()):
        pass
