"""A failure that may go on and on, told to the log once."""

from __future__ import annotations

import logging
import threading


class LogOnce:
    """Warns of `what` with a reason, and then no more until something succeeded in between. From
    any thread."""

    def __init__(self, logger: logging.Logger, what: str) -> None:
        self._logger = logger
        self._what = what
        self._lock = threading.Lock()
        self._failing = False

    def report(self, reason: str) -> None:
        with self._lock:
            known, self._failing = self._failing, True
        if not known:
            self._logger.warning("%s: %s", self._what, reason)

    def settle(self) -> None:
        """It works."""
        with self._lock:
            self._failing = False
