"""Threads for what blocks: a connect, and the wait for descriptors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

Job = Callable[[], None]


class Workers:
    """A short-lived thread for each job. From any thread."""

    def __init__(self, name: str) -> None:
        """`name` is that of a server, for the threads' names."""
        self._name = name
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()

    def start(self, job: Job) -> None:
        """Run the job now. Raises RuntimeError when the system has no more threads."""
        thread = threading.Thread(target=job, name=f"tc-forward {self._name}", daemon=True)
        with self._lock:
            thread.start()
            self._threads = {each for each in self._threads if each.is_alive()} | {thread}

    def close(self, limit: float) -> bool:
        """Wait for the jobs, and for what they start, at most `limit` seconds; whether all but the
        calling one have ended."""
        deadline = time.monotonic() + limit
        while others := self._others():
            if time.monotonic() > deadline:
                return False
            for thread in others:
                thread.join(max(0.0, deadline - time.monotonic()))
        return True

    def _others(self) -> list[threading.Thread]:
        with self._lock:
            threads = self._threads - {threading.current_thread()}
        return [thread for thread in threads if thread.is_alive()]
