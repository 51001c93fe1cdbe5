"""When the next check of owners may begin. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

from trayconnect.core.receive_window import NEAR

MOST_AT_ONCE = 4
"""Over a far link, a check that waited for the end of the one before would take twice as long."""

_REMEMBERED = 8


class CheckPace:
    """The server answers one question after the other, and reads long tables for each. Connections
    that come before a question is sent share its answer. So no question is sent while the server
    still works on the one before: it would only wait there.

    `round_trip`: seconds, 0 if not known. As long as nothing is known, nothing waits: the first
    page is opened just then."""

    def __init__(self, round_trip: Callable[[], float]) -> None:
        self._round_trip = round_trip
        self._under_way = 0
        self._took: deque[float] = deque(maxlen=_REMEMBERED)
        """Seconds until a question was answered that had the shell for itself, lately."""
        self._free = 0.0
        """When the server has done its work, by that."""

    @property
    def most(self) -> int:
        """Checks that may be under way at once."""
        return 1 if 0 < self._round_trip() <= NEAR else MOST_AT_ONCE

    def due(self) -> float:
        """The time from which on the next check may begin, unless one ends before."""
        if not self._under_way:
            return 0.0
        return self._free if self._under_way < self.most else math.inf

    def begin(self, now: float, questions: int) -> bool:
        """A check begins; whether no other one is under way."""
        self._under_way += 1
        # The shortest one: on a busy computer, some take longer by chance.
        work = max(0.0, min(self._took, default=0.0) - self._round_trip())
        self._free = now + max(1, questions) * work
        return self._under_way == 1

    def end(self) -> None:
        """A check has ended."""
        self._under_way -= 1

    def measured(self, seconds: float) -> None:
        """A question that had the shell for itself was answered after so long."""
        self._took.append(seconds)
