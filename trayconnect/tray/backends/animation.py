"""Moves the icon during an attempt, with a timer that exists only then."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Protocol

from trayconnect.tray.icon import FRAMES

INTERVAL = 0.4
"""Seconds between two pictures."""
STEPS = 150
"""Pictures until the icon of an attempt that hangs stands still: a minute."""


class Timer(Protocol):
    """One job at one time."""

    def cancel(self) -> None:
        """Do not do it, unless it has begun; release resources."""
        ...


MakeTimer = Callable[[float, Callable[[], None]], Timer]
"""Takes seconds, and the job to do then on any thread."""


class ThreadTimer(threading.Timer):
    """`cancel` leaves no thread behind. Not for the job itself."""

    def __init__(self, seconds: float, job: Callable[[], None]) -> None:
        super().__init__(seconds, job)
        self.name = "tc-tray-animation"
        self.daemon = True
        self.start()

    def cancel(self) -> None:
        super().cancel()
        self.join()


class Animation:
    """For the toolkit's thread, but for the timer, whose job goes there by `post`.

    The next step is not due before the last one was drawn, so none pile up while the toolkit is
    busy with an open menu."""

    def __init__(
        self,
        post: Callable[[Callable[[], None]], None],
        draw: Callable[[], None],
        make_timer: MakeTimer = ThreadTimer,
    ) -> None:
        self._post = post
        self._draw = draw
        self._make_timer = make_timer
        self._timer: Timer | None = None
        self._number = 0
        """Of the timer: tells a step that was posted before a cancellation from the next one."""
        self._since: float | None = None
        self._left = 0
        self.frame = 0
        """The present picture, below `icon.FRAMES`; 0 while still."""

    def follow(self, since: float | None) -> None:
        """Move for the attempt that began then; stand still if it is None.

        Each attempt moves it for `STEPS` at most."""
        if since == self._since:
            return
        self._since = since
        if since is None:
            self.stop()
            return
        self._left = STEPS
        if self._timer is None:
            self._wait()

    def stop(self) -> None:
        """Stand still, without drawing that."""
        self._disarm()
        self.frame = 0

    def _wait(self) -> None:
        self._number += 1
        step = partial(self._step, self._number)
        self._timer = self._make_timer(INTERVAL, lambda: self._post(step))

    def _disarm(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _step(self, number: int) -> None:
        if self._timer is None or number != self._number:
            return
        self._disarm()
        self._left -= 1
        if self._left > 0:
            self.frame = (self.frame + 1) % FRAMES
            self._wait()
        else:
            self.frame = 0
        self._draw()
