"""The end of the program: requested by a signal or any thread, performed on another thread."""

from __future__ import annotations

import logging
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from trayconnect.tray.backends.signals import heard

logger = logging.getLogger(__name__)

SIGNAL_PAUSE = 0.5 if sys.platform == "win32" else threading.TIMEOUT_MAX
"""Seconds between two checks for a signal: on Windows, Ctrl+C does not interrupt a wait."""
JOIN_LIMIT = 5.0


class Ending:
    """Calls `begin` once, on the thread "tc-stop", after the end was requested, within
    `handling`."""

    def __init__(self, begin: Callable[[], object]) -> None:
        self._begin = begin
        self._reasons: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._has_begun = threading.Event()

    def ask(self, reason: str) -> None:
        """Request the end. At any time; returns at once. `reason` is for the log."""
        # A signal's handler interrupts the main thread anywhere, perhaps while it holds a lock that
        # the end needs; `SimpleQueue.put` is safe even then.
        self._reasons.put(reason)

    def has_begun(self) -> bool:
        return self._has_begun.is_set()

    def wait(self) -> None:
        """Block until the end begins. On the main thread, signals are handled meanwhile."""
        while not self._has_begun.wait(SIGNAL_PAUSE):
            pass

    @contextmanager
    def handling(self) -> Iterator[None]:
        """Handle requests within the block, including the signals that end a program. On the main
        thread."""
        thread = threading.Thread(target=self._await, name="tc-stop", daemon=True)
        thread.start()
        try:
            with self._signals():
                yield
        finally:
            self._reasons.put(None)
            thread.join(JOIN_LIMIT)

    def _await(self) -> None:
        reason = self._reasons.get()
        if reason is not None:
            logger.info("stopping: %s", reason)
            self._has_begun.set()
            self._begin()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def on_signal(number: int, _frame: object) -> None:
            self.ask(f"signal {number}")

        names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # a system has only some of them
        numbers = [signal.Signals[name] for name in names if hasattr(signal, name)]
        before = {number: signal.signal(number, on_signal) for number in numbers}
        try:
            # Python misses a signal that comes as the main thread begins a wait, until that ends.
            with nullcontext() if sys.platform == "win32" else heard(*numbers):
                yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
