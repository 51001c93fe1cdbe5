"""One thread's sockets, timers, and jobs of other threads."""

from __future__ import annotations

import contextlib
import errno
import heapq
import itertools
import logging
import selectors
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

log = logging.getLogger(__name__)

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

Job = Callable[[], None]
OnEvent = Callable[[int], None]
"""Gets what the socket is ready for: READ, WRITE or both."""

_MOST_SOCKETS = 500 if sys.platform == "win32" else 1 << 20
"""Of Windows, `select` takes 512 (FD_SETSIZE of CPython's build)."""
_ACCURACY = 0.001
"""Seconds: epoll_wait(2) counts in milliseconds."""


class Timer:
    """A pending call."""

    __slots__ = ("job",)

    def __init__(self, job: Job) -> None:
        self.job: Job | None = job

    def cancel(self) -> None:
        """May be called twice, and after the call."""
        self.job = None


class EventLoop:
    """Everything but `call` belongs to the one thread that calls `turn`.

    Raises OSError if the system has no descriptors left."""

    def __init__(self) -> None:
        with contextlib.ExitStack() as resources:
            self._selector = resources.enter_context(selectors.DefaultSelector())
            self._wake_receiver, self._wake_sender = socket.socketpair()
            for end in (self._wake_receiver, self._wake_sender):
                resources.enter_context(end).setblocking(False)
            self._selector.register(self._wake_receiver, READ, self._on_wake)
            self._resources = resources.pop_all()
        self._jobs: deque[Job] = deque()
        self._is_woken = False
        self._has_ended = threading.Event()
        self._ending = threading.Lock()
        self._waiting: set[threading.Event] = set()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._thread = 0

    @property
    def is_here(self) -> bool:
        """Whether this is the loop's thread."""
        return threading.get_ident() == self._thread

    def enter(self) -> None:
        """The calling thread is the loop's from now on."""
        self._thread = threading.get_ident()

    def call(self, job: Job) -> bool:
        """Run the job on the loop's thread, soon; false if the loop has ended. From any thread."""
        with self._ending:
            if self._has_ended.is_set():
                return False
            self._jobs.append(job)
        self.wake()
        return True

    def run(self, job: Job) -> bool:
        """The same, at once if this is the loop's thread."""
        if self.is_here and not self._has_ended.is_set():
            job()
            return True
        return self.call(job)

    def run_and_wait(self, job: Job, seconds: float) -> None:
        """The same, and wait for the end of the job, or of the loop, at most so long."""
        done = threading.Event()

        def run() -> None:
            try:
                job()
            finally:
                done.set()

        with self._ending:
            self._waiting.add(done)
        try:
            if self.run(run):
                done.wait(seconds)
        finally:
            self._waiting.discard(done)

    def wake(self) -> None:
        """Let `turn` return soon. From any thread."""
        if not self._is_woken:
            self._is_woken = True
            with contextlib.suppress(OSError):  # full, so it wakes anyway; or closed
                self._wake_sender.send(b"\0")

    def call_at(self, when: float, job: Job) -> Timer:
        """Run the job at that time of the monotonic clock."""
        timer = Timer(job)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def watch(self, sock: socket.socket, before: int, events: int, on_event: OnEvent) -> None:
        """Call `on_event` when the socket is ready for one of `events`; `before` are those that it
        was watched for until now. 0: for none.

        Raises OSError if the system watches no more sockets."""
        if not before:
            if len(self._selector.get_map()) >= _MOST_SOCKETS:
                raise OSError(errno.EMFILE, "too many connections at once")
            self._selector.register(sock, events, on_event)
        elif events:
            self._selector.modify(sock, events, on_event)
        else:
            self._selector.unregister(sock)

    def turn(self) -> None:
        """Wait for the next events, timers or jobs, and handle them."""
        for key, events in self._selector.select(self._patience()):
            key.data(events)
        while self._timers and self._timers[0][0] <= time.monotonic():
            job = heapq.heappop(self._timers)[2].job
            if job is not None:
                job()

    def close(self) -> None:
        """Run the jobs that wait, which find the loop ended, and drop the timers. Never raises; may
        be called twice."""
        with self._ending:
            self._has_ended.set()
            for done in self._waiting:
                done.set()
        while self._jobs:
            try:
                self._jobs.popleft()()
            except Exception:
                log.exception("a bug in a job at the end")
        self._timers.clear()
        self._resources.close()

    def _patience(self) -> float | None:
        if self._jobs:
            return 0.0
        while self._timers and self._timers[0][2].job is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return max(0.0, self._timers[0][0] - time.monotonic()) + _ACCURACY

    def _on_wake(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_receiver.recv(4096)
        self._is_woken = False
        for _ in range(len(self._jobs)):
            self._jobs.popleft()()
