"""Does the same work again whenever it is asked for, without holding up who asks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)

JOIN_LIMIT = 5.0
AFTER_FAILURE = 0.1
"""Seconds of rest after a call that raised."""


class Coalescer:
    """Calls `work` on a thread of its own ("tc-refresh"), at least once after each `ask`; of many
    that come meanwhile, one more call is for all. `work` returns how many seconds of rest what it
    set going needs before the next call; one that is asked for after that comes at once."""

    def __init__(self, work: Callable[[], float]) -> None:
        self._work = work
        self._asked = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tc-refresh", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask(self) -> None:
        """From any thread, also before `start`; returns at once."""
        self._asked.set()

    def stop(self) -> None:
        """End and join the thread; what was asked for and not begun is dropped."""
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
            except Exception:  # our bug; the next one may succeed
                logger.exception("a refresh failed")
                rest = AFTER_FAILURE
            self._stopping.wait(rest)
