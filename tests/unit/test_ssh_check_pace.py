"""When a question about owners is sent, and which connections share its answer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trayconnect.core.receive_window import NEAR
from trayconnect.ssh.check_pace import MOST_AT_ONCE, CheckPace

FAR = 0.04
WORK = 0.008


def pace(round_trip: float, *, work: float | None = WORK) -> CheckPace:
    """After a first question that took `work` at the server."""
    made = CheckPace(lambda: round_trip)
    if work is not None:
        assert made.begin(0.0, 1)
        made.measured(round_trip + work)
        made.end()
    return made


def test_an_idle_server_is_asked_at_once() -> None:
    for round_trip in (0.0, NEAR, FAR):
        assert pace(round_trip, work=None).due() == 0.0
        assert pace(round_trip).due() == 0.0


def test_a_near_server_is_asked_one_question_at_a_time() -> None:
    near = pace(NEAR)
    near.begin(100.0, 1)
    assert near.due() == float("inf")
    near.end()
    assert near.due() == 0.0


def test_a_far_one_is_asked_again_once_it_has_done_its_work() -> None:
    far = pace(FAR)
    assert far.begin(100.0, 1)
    assert round(far.due() - 100.0, 6) == WORK
    assert not far.begin(100.0 + WORK, 2)
    assert round(far.due() - 100.0, 6) == 3 * WORK
    far.end()
    assert round(far.due() - 100.0, 6) == 3 * WORK
    far.end()
    assert far.due() == 0.0


def test_never_more_than_a_few_are_under_way() -> None:
    far = pace(FAR)
    for number in range(MOST_AT_ONCE):
        assert far.due() < 200.0
        far.begin(100.0 + number, 1)
    assert far.due() == float("inf")
    far.end()
    assert far.due() < 200.0


def test_until_something_is_known_none_waits() -> None:
    """The first page of a tunnel is opened just then."""
    for round_trip in (0.0, FAR):
        far = pace(round_trip, work=None)
        far.begin(100.0, 1)
        assert far.due() == 100.0


@given(st.lists(st.integers(1, 3), max_size=20), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_the_server_never_has_a_question_in_its_queue(
    batches: list[int], round_trip: float, work: float
) -> None:
    made = pace(round_trip, work=work)
    now, free = 1000.0, 0.0
    for questions in batches:
        due = made.due()
        if due == float("inf"):
            made.end()
            continue
        now = max(now, due)
        assert now >= free - 1e-6 or made.due() == 0.0
        made.begin(now, questions)
        free = now + questions * work
