"""Takes clicks off the toolkit's thread."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from trayconnect.tray.view import Action

log = logging.getLogger(__name__)

JOIN_LIMIT = 10.0
"""Seconds that an action still running may take when the tray ends."""


class ActionThread:
    """Calls `on_action` in the order of the clicks, one at a time."""

    def __init__(self, on_action: Callable[[Action], object]) -> None:
        self._on_action = on_action
        self._queue: queue.SimpleQueue[Action | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="tc-tray-actions", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, action: Action) -> None:
        """From any thread; returns at once."""
        self._queue.put(action)

    def stop(self) -> None:
        """Finish what was submitted and join the thread. Not for the thread itself."""
        self._queue.put(None)
        self._thread.join(JOIN_LIMIT)
        if self._thread.is_alive():
            log.warning("a menu action is still running after %g s", JOIN_LIMIT)

    def _work(self) -> None:
        while (action := self._queue.get()) is not None:
            try:
                self._on_action(action)
            except Exception:  # a click that fails must not end the next ones
                log.exception("the menu action %s failed", action.verb.value)
