"""Cancellation of work that blocks in another thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trayconnect.core.errors import Cancelled

logger = logging.getLogger(__name__)


class CancelToken:
    """A one-way switch that a worker checks, and that wakes the worker out of blocking calls.

    A worker about to block registers what will release it:

        with cancel.releasing(sock.close):
            sock.connect(address)

    `set` runs the registered callbacks on the thread that calls it, newest first; one that is
    registered after `set` runs at once. Callbacks must be quick; one that raises keeps none of
    the others from running.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], object]] = []

    def is_set(self) -> bool:
        return self._event.is_set()

    def set(self) -> None:
        """Cancel. A second call does nothing."""
        with self._lock:
            self._event.set()
            callbacks, self._callbacks = self._callbacks[::-1], []
        for callback in callbacks:
            _call(callback)

    def wait(self, timeout: float) -> bool:
        """Sleep up to `timeout` seconds. Returns true as soon as the token is cancelled."""
        return self._event.wait(timeout)

    def check(self) -> None:
        """Raise `Cancelled` if the token is cancelled."""
        if self._event.is_set():
            raise Cancelled

    @contextmanager
    def releasing(self, callback: Callable[[], object]) -> Iterator[None]:
        """Within the block, `set` calls `callback`. Raises `Cancelled` on entry if the token is
        cancelled already, and on a normal exit if it was cancelled inside."""
        self.add(callback)
        try:
            self.check()
            yield
        finally:
            self.remove(callback)
        self.check()

    def add(self, callback: Callable[[], object]) -> None:
        """From now on until `remove`, `set` calls `callback`; at once if the token is cancelled
        already."""
        with self._lock:
            already = self._event.is_set()
            if not already:
                self._callbacks.append(callback)
        if already:
            _call(callback)

    def remove(self, callback: Callable[[], object]) -> None:
        """Undo one `add`, unless `set` came before."""
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)


def _call(callback: Callable[[], object]) -> None:
    try:
        callback()
    except Exception:
        logger.exception("what should release a blocked worker failed")
