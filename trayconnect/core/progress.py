"""What an attempt does, step by step, for whoever wants to follow it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One step that was taken. `found` says what came of it; None: it failed."""

    name: str
    seconds: float
    found: str | None


class Progress:
    """Tells `on_step` of each step when it ends. One thread at a time."""

    def __init__(
        self,
        on_step: Callable[[Step], object] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_step = on_step
        self._clock = clock

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Take a step within; what is appended to the list is what it found."""
        begin = self._clock()
        found: list[str] = []
        try:
            yield found
        except BaseException:
            self._on_step(Step(name, self._clock() - begin, None))
            raise
        self._on_step(Step(name, self._clock() - begin, "; ".join(found)))


NO_PROGRESS = Progress()
"""Nobody follows."""
