"""The steps of an attempt, for a caller that follows them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One finished step. `found` is its result; None if it failed."""

    name: str
    seconds: float
    found: str | None
    is_doubtful: bool = False
    """Whether it failed, and may do so."""


class Found(list[str]):
    """The results of a step."""

    is_doubtful = False


class Progress:
    """Calls `on_step` at the end of each step. One thread at a time."""

    def __init__(
        self,
        on_step: Callable[[Step], object] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_step = on_step
        self._clock = clock

    @contextmanager
    def step(self, name: str) -> Iterator[Found]:
        """Run one step within the block. The caller appends the results to the list."""
        begin = self._clock()
        found = Found()
        try:
            yield found
        except BaseException:
            self._on_step(Step(name, self._clock() - begin, None))
            raise
        self._on_step(Step(name, self._clock() - begin, "; ".join(found), found.is_doubtful))


NO_PROGRESS = Progress()
"""Without a caller that follows."""
