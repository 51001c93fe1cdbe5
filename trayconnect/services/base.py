"""What services share: the threads of their health checks and commands."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import JSON, Command
from trayconnect.core.errors import Problem, ProblemError, Recovery, unforeseen
from trayconnect.core.notices import Notice, Urgency, failures_shown, open_page
from trayconnect.core.page import Page
from trayconnect.core.threads import Job, JobThread, Timer
from trayconnect.services.protocol import Desktop, Post

logger = logging.getLogger(__name__)

SETTLE_LIMIT = 10.0
"""Seconds for the manager's thread to reach a job."""

Join = Callable[[float], bool]
"""Waits so many seconds for a thread to end; false if it has not."""


class PollingService:
    """A part of a `protocol.Service`: its threads."""

    def __init__(self, name: str, post: Post, desktop: Desktop) -> None:
        self._name = name
        self._post = post
        self._desktop = desktop
        self._poller: Poller | None = None
        """While there is a link."""
        self._lock = threading.Lock()
        """Guards the next two."""
        self._joins: list[Join] = []
        self._under_way: dict[str, CancelToken] = {}
        """Jobs of `spawn_once`."""

    def link_down(self) -> None:
        """Release what blocks; the threads end soon."""
        if self._poller is not None:
            self._poller.close()
        self._poller = None

    def run(self, command: Command, cancel: CancelToken) -> JSON:
        """See `protocol.Service`: no command of its own."""
        raise NotImplementedError(command.name)

    def check(self) -> None:
        """See `protocol.Service`."""
        if self._poller is not None:
            self._poller.now()

    def dropped(self) -> None:
        """See `protocol.Service`."""

    def refused(self) -> None:
        """See `protocol.Service`."""
        poller = self._poller
        if poller is not None:
            poller.refused()

    def close(self) -> bool:
        """See `protocol.Service`."""
        with self._lock:
            joins, self._joins = self._joins, []
            jobs = tuple(self._under_way.values())
        for cancel in jobs:
            cancel.set()
        deadline = time.monotonic() + JOIN_LIMIT
        ended = [join(max(0.0, deadline - time.monotonic())) for join in joins]
        return all(ended)

    def spawn_once(self, what: str, job: Callable[[CancelToken], None]) -> bool:
        """Do it on another thread, unless the same is under way: then false. Ends with the link's
        session; a failure is shown as a notice. Raises RuntimeError when the system has no thread
        left."""
        cancel = CancelToken()
        with self._lock:
            if what in self._under_way:
                return False
            self._under_way[what] = cancel

        def run() -> None:
            try:
                with failures_shown(self._desktop.notifier, f"{what} {self._name}", self._name):
                    job(cancel)
            finally:
                with self._lock:
                    del self._under_way[what]

        try:
            self._spawn(what, run)
        except RuntimeError:
            with self._lock:
                del self._under_way[what]
            raise
        return True

    def _settle(self, cancel: CancelToken) -> None:
        """Block until the manager's thread has done what was posted so far. Raises
        `ProblemError`, and `Cancelled`."""
        reached = threading.Event()
        self._post(reached.set)
        with cancel.releasing(reached.set):
            is_reached = reached.wait(SETTLE_LIMIT)
        if not is_reached:
            title = f"trayconnect is too busy for a command on {self._name}"
            raise ProblemError(Problem(title, "Try again in a moment", Recovery.RETRY))

    def _begin(self, poller: Poller) -> None:
        self._poller = poller
        self._note(poller.join)

    def _spawn(self, what: str, job: Callable[[], None]) -> None:
        """Do it on another thread. Raises RuntimeError when the system has no thread left."""
        thread = threading.Thread(target=job, name=f"tc-{what} {self._name}", daemon=True)
        thread.start()

        def join(timeout: float) -> bool:
            thread.join(timeout)
            return not thread.is_alive()

        self._note(join)

    def _note(self, join: Join) -> None:
        with self._lock:
            self._joins = [*(other for other in self._joins if not other(0.0)), join]

    def _open(self, page: Page) -> None:
        """Open it in the browser, or show why that failed. Not joined: it needs no link, and the
        browser may take seconds, for which a disconnect would hold up the manager's thread."""
        name = f"tc-open {self._name}"
        try:
            threading.Thread(target=self._open_here, args=[page], name=name, daemon=True).start()
        except RuntimeError as error:
            logger.warning("%s: %s", self._name, unforeseen(error).logged)

    def _open_here(self, page: Page) -> None:
        try:
            self._desktop.browser.open(page)
        except ProblemError as error:
            problem = error.problem
            logger.warning("%s: %s", self._name, problem.logged)
            self._desktop.notifier.notify(
                Notice(
                    tag=f"page {self._name}",
                    title=f"The page of {self._name} could not be opened",
                    body=f"{problem.title}\n{problem.advice}",
                    urgency=Urgency.CRITICAL,
                    asked=True,
                    buttons=(open_page(self._name),),
                )
            )
        except Exception:
            logger.exception("%s: a bug in opening its page", self._name)


POLL_READY = 60.0
POLLS = ((30, 1.0), (60, 5.0), (120, 15.0), (math.inf, 30.0))
"""Seconds between two checks: while the page answers, and while it does not, up to that many
checks."""
POLL_ASKED = 2.0
"""Seconds, at least, between two checks that a browser's requests trigger."""
JOIN_LIMIT = 5.0
"""Seconds for threads to end after a cancellation."""
WITHOUT_THREAD = 5.0
"""Seconds until the next try to start a thread."""

Poll = Callable[[CancelToken], bool]
"""Checks once, and returns whether all is well. Raises `Cancelled`."""
Wait = Callable[[int], float]
"""Seconds until the next check, by the number of failed checks in a row."""


def poll_wait(silent: int) -> float:
    """The default `Wait`: frequent at first, then more and more rare."""
    return next(wait for most, wait in POLLS if silent < most) if silent else POLL_READY


class Poller:
    """Repeats the health check of one link. From any thread."""

    def __init__(
        self,
        name: str,
        poll: Poll,
        wait: Wait = poll_wait,
        *,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        """`prepare` is called before a check that the user waits for. `name` is for the log. Raises
        RuntimeError if no thread can be started."""
        self._poll_once = poll
        self._wait = wait
        self._prepare = prepare
        self._silent = 1
        """Failed checks in a row."""
        self._next = 0.0
        """When the next check is due, on the monotonic clock."""
        self._earliest = 0.0
        """The earliest time of a check that a browser's requests trigger."""
        self._paused = False
        self._is_refused = False
        """Whether `_after_refusal` is to come."""
        self.cancel = CancelToken()
        self._thread = JobThread("service", name)
        self._timer = Timer(lambda: self.put(self._where_due))
        self._thread.put(self._where_due)

    def now(self) -> None:
        """Check now."""
        self.put(self._prepared)

    def refused(self) -> None:
        """A browser's request failed: check soon. A check that is under way may have seen the page
        before that."""
        if not self._is_refused:  # a failing page causes many of these; one check is enough
            self._is_refused = True
            is_checking = self._next == math.inf
            self.put(lambda: self._after_refusal(was_checking=is_checking))

    def pause(self, *, paused: bool) -> None:
        """While paused, check only for a user who waits."""
        self._paused = paused
        if not paused:
            self.put(self._where_due)

    def put(self, job: Job) -> None:
        """Do something between two checks."""
        try:
            self._thread.put(lambda: self._do(job))
        except RuntimeError:  # no more threads
            with suppress(RuntimeError):
                Timer(lambda: self.put(job)).set(WITHOUT_THREAD)

    def close(self) -> None:
        """Release what blocks, and let the thread end."""
        self._timer.stop(0.0)
        self.cancel.set()

    def join(self, timeout: float = JOIN_LIMIT) -> bool:
        """Wait for the thread to end, after `close`; false if it has not."""
        return self.cancel.is_set() and self._thread.join(timeout)

    # --- on the thread ---

    def _do(self, job: Job) -> None:
        if not self.cancel.is_set():
            job()

    def _prepared(self) -> None:
        self._prepare()
        self._check()

    def _after_refusal(self, *, was_checking: bool) -> None:
        self._is_refused = False
        if was_checking and self._silent:
            return
        self._prepare()
        if was_checking or self._silent:
            self._next = min(self._next, self._earliest)
            self._where_due()
        else:
            self._check()

    def _where_due(self) -> None:
        left = self._next - time.monotonic()
        if left > 0:
            self._timer.set(left)
        elif not self._paused:
            self._check()

    def _check(self) -> None:
        self.cancel.check()
        begin = time.monotonic()
        self._next = math.inf  # also if the check raises
        well = False
        try:
            well = self._poll_once(self.cancel)
        finally:
            self._silent = 0 if well else self._silent + 1
            now = time.monotonic()
            self._next = now + self._wait(self._silent)
            self._earliest = now + max(POLL_ASKED, now - begin)
            self._timer.set(self._next - now)
