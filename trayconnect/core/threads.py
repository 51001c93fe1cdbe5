"""Threads that live only while there is work: jobs in order, and timers that share one thread."""

from __future__ import annotations

import heapq
import itertools
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trayconnect.core.errors import Cancelled, shortage

logger = logging.getLogger(__name__)

Job = Callable[[], None]


class JobThread:
    """Runs jobs in order. From any thread."""

    def __init__(self, kind: str, name: str) -> None:
        """`name` is that of a server, for the log."""
        self._kind = kind
        self._name = name
        self._lock = threading.Lock()
        self._jobs: deque[Job] = deque()
        self._is_running = False
        self._thread: threading.Thread | None = None
        """The present thread, or the last one."""

    def put(self, job: Job) -> None:
        """Run a job after those that were put before. Raises RuntimeError if no thread can be
        started."""
        with self._lock:
            if not self._is_running:
                name = f"tc-{self._kind} {self._name}"
                thread = threading.Thread(target=self._run, name=name, daemon=True)
                thread.start()
                self._is_running, self._thread = True, thread
            self._jobs.append(job)

    def put_or_run(self, job: Job) -> None:
        """The same for a short job, which runs on the calling thread if no other can be started."""
        try:
            self.put(job)
        except RuntimeError:
            self._try(job)

    def join(self, timeout: float) -> bool:
        """Wait for the end of all jobs; false if they have not ended."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            self._try(job)

    def _next(self) -> Job | None:
        with self._lock:
            self._is_running = bool(self._jobs)
            return self._jobs.popleft() if self._jobs else None

    def _try(self, job: Job) -> None:
        try:
            job()
        except Cancelled:
            pass
        except Exception as error:
            if (short := shortage(error)) is not None:
                logger.warning("%s: %s", self._name, short.logged)
            else:
                logger.exception("%s: a bug in %s", self._name, self._kind)


class Timer:
    """Calls `call` on the thread "tc-timers"; it must be quick and not block. From any thread."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.due: float | None = None
        """On the monotonic clock; None while it is not set."""
        self._has_ended = False

    def set(self, seconds: float) -> None:
        """Call in so many seconds, or when an earlier setting says so; not after `stop`. Raises
        RuntimeError if the thread cannot be started."""
        due = time.monotonic() + seconds
        with _clock.changed:
            if not self._has_ended and (self.due is None or due < self.due):
                _clock.add(self, due)

    def stop(self, timeout: float) -> None:
        """No call begins after this. Wait for a call that runs, and for the thread if no timer is
        set any more; but not on that thread."""
        with _clock.changed:
            self._has_ended = True
            self.due = None
            _clock.changed.notify_all()
            thread = _clock.thread
            if thread is None or thread is threading.current_thread():
                return
            _clock.changed.wait_for(lambda: _clock.is_done(self, thread), timeout)
            has_ended = thread is not _clock.thread
        if has_ended:
            thread.join(timeout)


@contextmanager
def deadline(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    """Call `call` if the block takes longer, to end what it waits for; like that of a `Timer`, the
    call must be quick."""
    timer = Timer(call)
    timer.set(seconds)
    try:
        yield
    finally:
        timer.stop(seconds)


class _Clock:
    """The timers that are set, and the thread that waits for them."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        """Guards everything here, and the timers."""
        self.running: Timer | None = None
        self._heap: list[tuple[float, int, Timer]] = []
        self._serial = itertools.count()
        self.thread: threading.Thread | None = None

    def add(self, timer: Timer, due: float) -> None:
        if self.thread is None:
            thread = threading.Thread(target=self._run, name="tc-timers", daemon=True)
            thread.start()
            self.thread = thread
        timer.due = due
        heapq.heappush(self._heap, (due, next(self._serial), timer))
        if self._heap[0][0] == due:  # else the thread waits for an earlier one
            self.changed.notify_all()

    def is_done(self, timer: Timer, thread: threading.Thread) -> bool:
        """Whether that thread calls the timer no more, and goes on only for others."""
        is_needed = any(other.due == due for due, _, other in self._heap)
        return self.running is not timer and (is_needed or thread is not self.thread)

    def _run(self) -> None:
        while (timer := self._next()) is not None:
            try:
                timer.call()
            except Exception:
                logger.exception("a bug in a timer")

    def _next(self) -> Timer | None:
        """Wait for the next timer; None if none is set."""
        with self.changed:
            self.running = None
            self.changed.notify_all()
            while self._heap:
                due, _, timer = self._heap[0]
                left = due - time.monotonic()
                if timer.due != due:  # stopped, or set to an earlier time
                    heapq.heappop(self._heap)
                    self.changed.notify_all()  # a `stop` may wait, and others were set meanwhile
                elif left > 0:
                    self.changed.wait(left)
                else:
                    heapq.heappop(self._heap)
                    timer.due = None
                    self.running = timer
                    return timer
            self.thread = None
            self.changed.notify_all()
            return None


_clock = _Clock()


_QUICKLY = 0.0001
"""Seconds. A thread that computes without a pause, which Python interrupts after 5 ms by default,
would slow a download to a hundredth."""
_switching = threading.Lock()
_quick_threads = 0
_usual = sys.getswitchinterval()


@contextmanager
def served_quickly() -> Iterator[None]:
    """Let no other thread keep the calling one waiting for long (`sys.setswitchinterval`)."""
    _count_quick(1)
    try:
        yield
    finally:
        _count_quick(-1)


def _count_quick(change: int) -> None:
    global _quick_threads, _usual
    with _switching:
        if not _quick_threads:
            _usual = sys.getswitchinterval()
        _quick_threads += change
        sys.setswitchinterval(min(_QUICKLY, _usual) if _quick_threads else _usual)
