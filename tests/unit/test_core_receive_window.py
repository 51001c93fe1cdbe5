"""How the receive window follows the line, with a clock of its own."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trayconnect.core.receive_window import (
    BUDGET,
    LARGEST,
    SLACK,
    SMALLEST,
    ReceiveWindow,
    WindowBudget,
    WindowExceededError,
)

PACKET = 32 << 10


class Sender:
    """A server that sends all that it may, over a line of that round trip and rate."""

    def __init__(self, budget: WindowBudget, round_trip: float, rate: float) -> None:
        self.window = ReceiveWindow(budget)
        self.round_trip = round_trip
        self.rate = rate
        self.may_send = SMALLEST
        self.now = 1000.0

    def run(self, seconds: float) -> None:
        """Each turn is a round trip: what was granted is sent, as far as the line takes it."""
        until = self.now + seconds
        while self.now < until:
            size = min(self.may_send, int(self.rate * self.round_trip))
            began = self.now
            self.may_send -= size
            while size > 0:
                piece = min(size, PACKET)
                self.window.received(piece)
                size -= piece
                self.now += piece / self.rate
                if self.window.consumed(piece):
                    self.may_send += self.window.grant(self.now)
            self.now = max(self.now, began + self.round_trip)


def test_it_grows_over_a_far_line_until_it_fills_that() -> None:
    budget = WindowBudget()
    budget.measured(0.04)
    far = Sender(budget, 0.04, 250e6)
    far.run(5)
    assert far.window.size >= 0.04 * 250e6
    far.window.close()
    assert budget.left == BUDGET
    slow = Sender(budget, 0.04, 5e6)
    slow.run(5)
    assert slow.window.size == SMALLEST


def test_it_does_not_grow_where_the_round_trip_is_none() -> None:
    budget = WindowBudget()
    budget.measured(0.0002)
    near = Sender(budget, 0.0002, 5e9)
    near.run(1)
    assert near.window.size == SMALLEST
    unknown = Sender(WindowBudget(), 0.04, 250e6)
    unknown.run(1)
    assert unknown.window.size == SMALLEST


def test_it_shrinks_when_the_rate_has_fallen() -> None:
    budget = WindowBudget()
    budget.measured(0.04)
    sender = Sender(budget, 0.04, 250e6)
    sender.run(5)
    largest = sender.window.size
    sender.rate = 2e6
    sender.run(120)
    assert sender.window.size < largest / 4
    assert budget.left == BUDGET - (sender.window.size - SMALLEST)


def test_the_shortest_round_trip_counts() -> None:
    budget = WindowBudget()
    for seconds in (0.5, 0.04, 0.3):
        budget.measured(seconds)
    assert budget.round_trip == 0.04


def test_a_stalled_reader_holds_its_window_at_most() -> None:
    window = ReceiveWindow(WindowBudget())
    window.received(SMALLEST + SLACK)
    with pytest.raises(WindowExceededError):
        window.received(1)


STEPS = st.lists(
    st.tuples(st.floats(0, 0.5), st.floats(0, 1), st.floats(0, 1), st.integers(0, 3)), max_size=200
)


@settings(deadline=None)
@given(STEPS, st.floats(0, 0.3))
def test_no_more_is_granted_than_the_size_and_what_a_larger_one_left(
    steps: list[tuple[float, float, float, int]], round_trip: float
) -> None:
    whole = 2 * SMALLEST
    budget = WindowBudget(whole)
    budget.measured(round_trip)
    windows = [ReceiveWindow(budget) for _ in range(4)]
    may_send, unread, left_over = [SMALLEST] * 4, [0] * 4, [0] * 4
    now = 1.0
    for wait, share, taken, which in steps:
        now += wait
        window = windows[which]
        size = int(share * may_send[which])
        window.received(size)
        may_send[which] -= size
        unread[which] += size
        taken_now = int(taken * unread[which])
        unread[which] -= taken_now
        if window.consumed(taken_now):
            held = may_send[which] + unread[which]
            may_send[which] += window.grant(now)
            left_over[which] = held if held > window.size else 0
        assert may_send[which] + unread[which] <= max(window.size, left_over[which], 2 * SMALLEST)
        assert SMALLEST <= window.size <= LARGEST
        assert 0 <= budget.left <= whole
        assert budget.left == whole - sum(one.size - SMALLEST for one in windows)
    for window in windows:
        window.close()
        window.close()
    assert budget.left == whole


def test_two_windows_share_what_there_is() -> None:
    budget = WindowBudget(5 * SMALLEST)
    budget.measured(0.04)
    first, second = Sender(budget, 0.04, 250e6), Sender(budget, 0.04, 250e6)
    first.run(5)
    second.run(5)
    assert (first.window.size, second.window.size) == (6 * SMALLEST, SMALLEST)
    first.window.close()
    second.run(5)
    assert second.window.size == 6 * SMALLEST
    assert budget.left == 0
