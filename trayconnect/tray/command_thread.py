"""Takes clicks off the toolkit's thread."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from trayconnect.core.command import Command

log = logging.getLogger(__name__)

JOIN_LIMIT = 10.0
"""Seconds that a command still running may take when the tray ends."""


class CommandThread:
    """Calls `on_command` in the order of the clicks, one at a time."""

    def __init__(self, on_command: Callable[[Command], object]) -> None:
        self._on_command = on_command
        self._queue: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="tc-tray-commands", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, command: Command) -> None:
        """From any thread; returns at once."""
        self._queue.put(command)

    def stop(self) -> None:
        """Finish what was submitted and join the thread. Not for the thread itself."""
        self._queue.put(None)
        self._thread.join(JOIN_LIMIT)
        if self._thread.is_alive():
            log.warning("a click's command is still running after %g s", JOIN_LIMIT)

    def _work(self) -> None:
        while (command := self._queue.get()) is not None:
            try:
                self._on_command(command)
            except Exception:  # a click that fails must not end the next ones
                log.exception("the command %s failed", command.name)
