"""Coalescing background refresh."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)

JOIN_LIMIT = 5.0
AFTER_FAILURE = 0.1
"""Pause in seconds after a call that raised."""


class Coalescer:
    """Calls `work` on a thread of its own ("tc-refresh"), at least once after each `ask`. Requests
    that arrive while it runs share one more call. `work` returns the pause in seconds before the
    next call; a request that comes after the pause is served at once."""

    def __init__(self, work: Callable[[], float]) -> None:
        self._work = work
        self._asked = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tc-refresh", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask(self) -> None:
        """Request a call. From any thread, also before `start`; returns at once."""
        self._asked.set()

    def stop(self) -> None:
        """End and join the thread; drop a request that has not begun."""
        self._stopping.set()
        self._asked.set()
        self._thread.join(JOIN_LIMIT)
        if self._thread.is_alive():
            logger.warning("a refresh is still under way after %g s", JOIN_LIMIT)

    def _run(self) -> None:
        while True:
            self._asked.wait()
            if self._stopping.is_set():
                return
            self._asked.clear()
            try:
                rest = self._work()
            except Exception:  # a bug of ours; the next call may succeed
                logger.exception("a refresh failed")
                rest = AFTER_FAILURE
            self._stopping.wait(rest)
