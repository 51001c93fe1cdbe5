"""A lock that serves its waiters in the order of arrival."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from trayconnect.core.cancellation import CancelToken


class FairLock:
    """A fair lock whose waiters can be cancelled."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._queue: deque[object] = deque()

    @contextmanager
    def turn(self, cancel: CancelToken) -> Iterator[None]:
        """Wait for the lock, and hold it within the block. Raises `Cancelled` while waiting."""
        ticket = object()
        with self._condition:
            self._queue.append(ticket)
        try:
            with cancel.releasing(self._wake), self._condition:
                self._condition.wait_for(lambda: self._queue[0] is ticket or cancel.is_set())
            yield
        finally:
            with self._condition:
                self._queue.remove(ticket)
                self._condition.notify_all()

    def _wake(self) -> None:
        with self._condition:
            self._condition.notify_all()
