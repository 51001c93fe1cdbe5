"""Log a recurring failure once."""

from __future__ import annotations

import logging
import threading


class LogOnce:
    """Logs a warning about `what` with a reason, then stays silent until a call succeeded. From any
    thread."""

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
        """Record a success."""
        with self._lock:
            self._failing = False
