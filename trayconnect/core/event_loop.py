"""One thread's sockets, timers, and jobs of other threads."""

from __future__ import annotations

import contextlib
import errno
import heapq
import itertools
import logging
import select
import selectors
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import ParamSpec

log = logging.getLogger(__name__)

Job = Callable[[], None]
OnEvent = Callable[[int], None]
"""Gets what the socket is ready for: READ, WRITE or both. It may be ready no more."""

_MOST_SOCKETS = 500 if sys.platform == "win32" else 1 << 20
"""Of Windows, `select` takes 512 (FD_SETSIZE of CPython's build)."""
_JOBS_AT_ONCE = 256
_ACCURACY = 0.001
"""Seconds: epoll_wait(2) counts in milliseconds."""


if sys.platform == "linux":
    # For each event and each socket, `selectors` costs several times as much as epoll(7) itself.
    READ, WRITE = select.EPOLLIN, select.EPOLLOUT
    _FAILED = select.EPOLLHUP | select.EPOLLERR
    _Poller = select.epoll
else:
    READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
    _FAILED = 0

    class _Poller:
        """What the loop needs of epoll, where the system has none."""

        def __init__(self) -> None:
            self._selector = selectors.DefaultSelector()
            self.modify = self._selector.modify
            self.unregister = self._selector.unregister
            self.close = self._selector.close

        def register(self, sock: socket.socket, events: int) -> None:
            try:
                self._selector.register(sock, events)
            except KeyError:
                # The descriptor was that of a socket that was closed while it was watched.
                self._selector.unregister(sock)
                self._selector.register(sock, events)

        def poll(self, timeout: float | None, most: int) -> list[tuple[int, int]]:  # noqa: ARG002
            return [(key.fd, events) for key, events in self._selector.select(timeout)]


_BOTH = READ | WRITE
_EVENTS_AT_ONCE = 256

Arguments = ParamSpec("Arguments")


def tell(
    callback: Callable[Arguments, object], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> bool:
    """Call it; whether it did not raise: a bug in a callback must not end a connection."""
    try:
        callback(*args, **kwargs)
    except Exception:
        log.exception("a bug in a callback of a connection")
        return False
    return True


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
            self._poller = resources.enter_context(contextlib.closing(_Poller()))
            self._wake_receiver, self._wake_sender = socket.socketpair()
            for end in (self._wake_receiver, self._wake_sender):
                resources.enter_context(end).setblocking(False)
            self._handlers: dict[int, OnEvent] = {}
            """By the descriptor of the socket."""
            self.watch(self._wake_receiver, 0, READ, self._on_wake)
            self._resources = resources.pop_all()
        self._jobs: deque[Job] = deque()
        self._is_woken = False
        self._has_ended = False
        self._ending = threading.RLock()
        """Between `close` and `wake`, which must not write to a descriptor that is another's by
        then. A finalizer may call `wake` on a thread that has the lock."""
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._thread = 0
        self.is_last = False
        """Whether the event that is handled now is the last one of its turn."""

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
            if self._has_ended:
                return False
            self._jobs.append(job)
        self.wake()
        return True

    def run(self, job: Job) -> bool:
        """The same, at once if this is the loop's thread."""
        if self.is_here and not self._has_ended:
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

        if self.run(run):
            done.wait(seconds)

    def wake(self) -> None:
        """Let `turn` return soon. From any thread."""
        if self._is_woken or self.is_here:
            return
        with self._ending:
            if not self._has_ended:
                self._is_woken = True
                with contextlib.suppress(OSError):  # full, so it wakes anyway
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
        descriptor = sock.fileno()
        if not events:
            self._handlers.pop(descriptor, None)
            with contextlib.suppress(OSError, KeyError, ValueError):  # it is closed
                self._poller.unregister(sock)
        elif before:
            self._poller.modify(sock, events)
        else:
            if descriptor < 0:
                raise OSError(errno.EBADF, "the socket is closed")
            if len(self._handlers) >= _MOST_SOCKETS:
                raise OSError(errno.EMFILE, "too many connections at once")
            self._poller.register(sock, events)
            self._handlers[descriptor] = on_event

    def turn(self) -> None:
        """Wait for the next events, timers or jobs, and handle them."""
        ready = self._poller.poll(self._patience(), _EVENTS_AT_ONCE)
        left = len(ready)
        for descriptor, events in ready:
            left -= 1
            on_event = self._handlers.get(descriptor)
            if on_event is not None:  # an event before this one may have ended it
                self.is_last = not left
                on_event(events | _BOTH if events & _FAILED else events)
        self.is_last = False
        if self._jobs:
            for _ in range(min(len(self._jobs), _JOBS_AT_ONCE)):
                self._jobs.popleft()()
        while self._timers and self._timers[0][0] <= time.monotonic():
            job = heapq.heappop(self._timers)[2].job
            if job is not None:
                job()

    def close(self) -> None:
        """Run the jobs that wait, which find the loop ended, and drop the timers. Never raises; may
        be called twice."""
        with self._ending:
            self._has_ended = True
        while self._jobs:
            tell(self._jobs.popleft())
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
