"""Repeats a look at what answers behind a link, on a thread of its own, while the link lives."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, shortage

logger = logging.getLogger(__name__)

LOOK_READY = 60.0
LOOKS = ((30, 1.0), (60, 5.0), (120, 15.0), (math.inf, 30.0))
"""Seconds between two looks at what answers: when it does, and while it does not, up to that many
looks."""
LOOK_ASKED = 2.0
"""The same, at least, while a browser asks for it."""
JOIN_LIMIT = 5.0
"""Seconds to wait for a thread whose work was cancelled."""

Look = Callable[[CancelToken], bool]
"""Looks once, and returns whether all is well. Raises `Cancelled`."""
Wait = Callable[[int], float]
"""Seconds until the next look; 0 after one that was well, or the number of those that were not."""


def look_wait(silent: int) -> float:
    """The `Wait` for what an entry is for: soon at first, then ever more rarely."""
    return next(wait for most, wait in LOOKS if silent < most) if silent else LOOK_READY


class Looker:
    """The looks of one link. From any thread; raises RuntimeError when no thread is to be had."""

    def __init__(
        self,
        name: str,
        look: Look,
        wait: Wait = look_wait,
        *,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        """`prepare` is called before a look for which somebody waits. `name` is for the log."""
        self._name = name
        self._look_once = look
        self._wait = wait
        self._prepare = prepare
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._silent = 1
        """Looks in a row that were not well; 0 after one that was."""
        self._next = 0.0
        """When the next look is due, on the monotonic clock."""
        self._earliest = 0.0
        """The earliest time of a look for which a browser asks."""
        self._paused = False
        self.cancel = CancelToken()
        self._thread = threading.Thread(target=self._run, name=f"tc-service {name}", daemon=True)
        self._thread.start()

    def now(self) -> None:
        """Look now rather than when the time comes."""
        self._jobs.put(self._prepared)

    def refused(self) -> None:
        """A browser asks, and gets nothing: look soon."""
        if not self._silent:
            self._silent = 1  # a page that fails has many of these, and one look tells
            self.now()
        elif self._earliest < self._next:
            self._next = self._earliest  # the next look sets both anew
            self._jobs.put(self._prepared_where_due)

    def pause(self, *, paused: bool) -> None:
        """While paused, look only for those who wait for it."""
        self._paused = paused
        self._jobs.put(lambda: None)  # the thread reckons anew how long to wait

    def put(self, job: Callable[[], None]) -> None:
        """Do something between two looks."""
        self._jobs.put(job)

    def close(self) -> None:
        """Release what blocks, and let the thread end."""
        self.cancel.set()
        self._jobs.put(None)

    def join(self, timeout: float = JOIN_LIMIT) -> bool:
        """Wait for the thread to end, after `close`; false if it has not."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    # --- on the thread ---

    def _run(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=self._until_next())
            except queue.Empty:
                job = self._where_due
            if job is None:
                return
            try:
                job()
            except Cancelled:
                continue
            except Exception as error:
                if (short := shortage(error)) is not None:
                    logger.warning("%s: %s", self._name, short.logged)
                else:
                    logger.exception("%s: something nobody foresaw", self._name)

    def _until_next(self) -> float | None:
        return None if self._paused else max(0.0, self._next - time.monotonic())

    def _prepared(self) -> None:
        self._prepare()
        self._look()

    def _prepared_where_due(self) -> None:
        self._prepare()
        self._where_due()

    def _where_due(self) -> None:
        if not self._paused and self._next <= time.monotonic():
            self._look()

    def _look(self) -> None:
        self.cancel.check()
        begin = time.monotonic()
        self._next = math.inf  # whatever comes of it
        well = False
        try:
            well = self._look_once(self.cancel)
        finally:
            self._silent = 0 if well else self._silent + 1
            now = time.monotonic()
            self._next = now + self._wait(self._silent)
            self._earliest = now + max(LOOK_ASKED, now - begin)
