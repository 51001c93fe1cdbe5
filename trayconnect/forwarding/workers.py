"""Threads that stay for the next job.

A browser opens many short connections, and starting two threads for each would cost more than the
rest of the forward. Over plain TCP, reused threads carry two to three times as many connections a
second; over SSH, which takes most of the time, about a quarter more when many arrive at once."""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress

_IDLE_LIMIT = 32
"""Limit for the number of idle threads."""
_IDLE_SECONDS = 10.0
"""An idle thread ends after so long: a quiet tunnel has none."""

Job = Callable[[], None]


class Workers:
    """As many threads as there are jobs at once, and a few idle ones for a while, until `close`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._idle = 0
        self._closed = False
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        # A thread removes itself at its end.
        self._threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()

    def start(self, job: Job) -> None:
        """Run the job now, on a thread that runs nothing else meanwhile. Raises RuntimeError when
        the system has no more threads."""
        with self._lock:
            if self._idle:
                self._idle -= 1
                self._jobs.put(job)
                return
            thread = threading.Thread(
                target=self._work, args=(job,), name=f"tc-forward {self._name}", daemon=True
            )
            thread.start()
            self._threads.add(thread)

    def close(self, limit: float) -> bool:
        """End each thread after its job, and wait for them, at most `limit` seconds.

        Returns whether all have ended, apart from the calling one. Running jobs may still start
        others."""
        with self._lock:
            self._closed = True
            for _ in range(self._idle):
                self._jobs.put(None)
            self._idle = 0
        deadline = time.monotonic() + limit
        while threads := self._others():
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
            if time.monotonic() > deadline:
                return not self._others()
        return True

    def _others(self) -> list[threading.Thread]:
        with self._lock:
            threads = set(self._threads) - {threading.current_thread()}
        return [thread for thread in threads if thread.is_alive()]

    def _work(self, first: Job) -> None:
        job: Job | None = first
        while job is not None:
            job()
            job = None  # free the job's memory now, not with the next job
            with self._lock:
                if self._closed or self._idle >= _IDLE_LIMIT:
                    return
                self._idle += 1
            job = self._next()

    def _next(self) -> Job | None:
        while True:
            with suppress(queue.Empty):
                return self._jobs.get(timeout=_IDLE_SECONDS)
            with self._lock:
                if self._idle:  # 0: a job is on its way to this thread
                    self._idle -= 1
                    return None
