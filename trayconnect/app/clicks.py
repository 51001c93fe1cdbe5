"""Carries out the commands of clicks."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

from trayconnect.core.command import Command

logger = logging.getLogger(__name__)

PATIENCE = 0.5
"""Seconds after which a command no longer holds up the next one: it may wait for a program or a
server."""
JOIN_LIMIT = 10.0
"""Seconds that unfinished commands may take when the program ends."""


class Clicks:
    """Calls `carry_out` with each command, in the order of the clicks. The icon, the windows and
    the notices share it."""

    def __init__(self, carry_out: Callable[[Command], object]) -> None:
        self._carry_out = carry_out
        self._queue: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._unfinished: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._work, name="tc-clicks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, command: Command) -> None:
        """From any thread; returns at once."""
        logger.debug("chosen: %s %s", command.name, command.server)
        self._queue.put(command)

    def stop(self) -> None:
        """Finish what was submitted, and join the threads."""
        self._queue.put(None)
        deadline = time.monotonic() + JOIN_LIMIT
        self._thread.join(JOIN_LIMIT)
        for thread in self._unfinished:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                logger.warning("%s is still running after %g s", thread.name, JOIN_LIMIT)

    def _work(self) -> None:
        while (command := self._queue.get()) is not None:
            thread = threading.Thread(
                target=self._run, args=[command], name=f"tc-click {command.name}", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:  # no more threads: the next click waits for this one
                self._run(command)
                continue
            thread.join(PATIENCE)
            self._unfinished = [one for one in (*self._unfinished, thread) if one.is_alive()]

    def _run(self, command: Command) -> None:
        try:
            self._carry_out(command)
        except Exception:  # a bug of ours, which must not end the next clicks
            logger.exception("the command %s failed", command.name)
