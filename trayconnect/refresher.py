"""Does the same work again whenever it is asked for, without holding up who asks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

SHARE = 0.25
"""Of all time, at most this part is spent on the work, however often it is asked for."""
JOIN_LIMIT = 5.0


class Refresher:
    """Calls `work` on a thread of its own ("tc-refresh"), at least once after each `ask`; of many
    that come meanwhile, one more call is for all."""

    def __init__(self, work: Callable[[], object]) -> None:
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
            begin = time.monotonic()
            try:
                self._work()
            except Exception:  # our bug; the next one may succeed
                logger.exception("a refresh failed")
            spent = time.monotonic() - begin
            self._stopping.wait(spent * (1 / SHARE - 1))
