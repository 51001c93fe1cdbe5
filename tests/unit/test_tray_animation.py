"""The moving icon, with a timer that the test sets off."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from trayconnect.tray.backends.animation import INTERVAL, STEPS, Animation, ThreadTimer
from trayconnect.tray.icon import FRAMES

LIMIT = 90.0


class HandTimer:
    def __init__(self, job: Callable[[], None]) -> None:
        self.job = job
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Stage:
    """An animation, whose jobs wait in `posted` for the toolkit's turn."""

    def __init__(self) -> None:
        self.timers: list[HandTimer] = []
        self.posted: list[Callable[[], None]] = []
        self.drawn: list[int] = []
        self.animation = Animation(
            self.posted.append, lambda: self.drawn.append(self.animation.frame), self.make_timer
        )

    def make_timer(self, seconds: float, job: Callable[[], None]) -> HandTimer:
        assert seconds == INTERVAL
        assert not self.armed, "one timer at a time"
        self.timers.append(HandTimer(job))
        return self.timers[-1]

    @property
    def armed(self) -> bool:
        return any(not timer.cancelled for timer in self.timers)

    def tick(self) -> None:
        self.timers[-1].job()

    def turn(self) -> None:
        """The toolkit does what was posted."""
        jobs, self.posted[:] = self.posted[:], []
        for job in jobs:
            job()

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self.tick()
            self.turn()


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_nothing_moves_by_itself(stage: Stage) -> None:
    stage.animation.follow(None)
    assert (stage.timers, stage.animation.frame) == ([], 0)


def test_the_frames_go_round(stage: Stage) -> None:
    stage.animation.follow(1.0)
    stage.step(2 * FRAMES)
    assert stage.drawn == [*range(1, FRAMES), 0, *range(1, FRAMES), 0]


def test_it_stands_still_when_the_attempt_is_over(stage: Stage) -> None:
    stage.animation.follow(1.0)
    stage.step(2)
    stage.animation.follow(None)
    assert stage.animation.frame == 0
    assert not stage.armed


def test_an_attempt_that_hangs_moves_it_for_a_minute(stage: Stage) -> None:
    stage.animation.follow(1.0)
    stage.step(STEPS)
    assert not stage.armed
    assert len(stage.drawn) == STEPS
    assert stage.drawn[-1] == 0
    stage.animation.follow(1.0)
    assert not stage.armed, "it is still the same attempt"


def test_the_next_attempt_moves_it_again(stage: Stage) -> None:
    stage.animation.follow(1.0)
    stage.step(STEPS)
    stage.animation.follow(2.0)
    stage.step(STEPS - 1)
    assert stage.armed


def test_an_attempt_beside_it_gives_it_more_time(stage: Stage) -> None:
    stage.animation.follow(1.0)
    stage.step(STEPS - 1)
    stage.animation.follow(2.0)
    assert stage.animation.frame == (STEPS - 1) % FRAMES, "it goes on where it is"
    stage.step(STEPS - 1)
    assert stage.armed
    stage.step()
    assert not stage.armed


def test_no_step_is_due_before_the_last_was_drawn(stage: Stage) -> None:
    """As while a menu is open on Windows."""
    stage.animation.follow(1.0)
    stage.tick()
    assert (len(stage.timers), len(stage.posted), stage.drawn) == (1, 1, [])
    stage.turn()
    assert (len(stage.timers), stage.drawn) == (2, [1])


def test_a_step_that_was_posted_before_the_end_comes_too_late(stage: Stage) -> None:
    stage.animation.follow(1.0)
    stage.tick()
    stage.animation.follow(None)
    stage.turn()
    assert (stage.drawn, stage.armed) == ([], False)


def test_a_late_step_does_not_hurry_the_next_attempt(stage: Stage) -> None:
    stage.animation.follow(1.0)
    stage.tick()
    stage.animation.follow(None)
    stage.animation.follow(2.0)
    stage.turn()
    assert stage.drawn == []
    stage.step()
    assert stage.drawn == [1]


def test_a_timer_does_its_job_once_on_a_thread_of_its_own() -> None:
    names: list[str] = []
    done = threading.Event()

    def job() -> None:
        names.append(threading.current_thread().name)
        done.set()

    timer = ThreadTimer(0.001, job)
    assert done.wait(LIMIT)
    timer.cancel()
    assert names == ["tc-tray-animation"]
    assert not timer.is_alive()


def test_a_cancelled_timer_leaves_no_thread() -> None:
    timer = ThreadTimer(3600, lambda: pytest.fail("cancelled"))
    timer.cancel()
    assert not timer.is_alive()
