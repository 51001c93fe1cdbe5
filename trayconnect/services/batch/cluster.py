"""Runs the scripts of a scheduler on the login node."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from trayconnect.config.batch_options import System, option_faults
from trayconnect.config.model import Server
from trayconnect.core import remote_script, sanitize
from trayconnect.core.abandonable import Background
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.link import Completed, Link, NotEndedError
from trayconnect.services.batch.job import Answer, JobId, Unanswered, job_name
from trayconnect.services.batch.options import OPTIONS, place
from trayconnect.services.batch.scheduler import (
    CANCEL_LIMIT,
    QUERY_LIMIT,
    SUBMIT_LIMIT,
    Refused,
    Request,
    Scheduler,
    Submission,
    Trial,
    Unsure,
)
from trayconnect.services.batch.schedulers import SCHEDULERS, none_found, systems, which
from trayconnect.services.batch.script import job_script
from trayconnect.services.jupyter.problems import shell_is_slow, shell_ran_nothing

_BEGIN = "\n@@trayconnect "


class Cluster:
    """The scheduler behind a login link. Each call is one remote command, bounded in time and
    cancellable; at most one runs at a time. Raises `ProblemError` where the login node runs no
    command, and `Cancelled`."""

    def __init__(self) -> None:
        self._turns: weakref.WeakKeyDictionary[Link, threading.Lock] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def find_scheduler(self, server: Server, login: Link, cancel: CancelToken) -> Scheduler:
        """The one of `batch.system`; for `auto`, the one whose commands the login node has. Raises
        `ProblemError` for none, or if the options of the entry are not for it."""
        assert server.batch is not None
        host = server.host or server.name
        done = self._run(which(), login, cancel, QUERY_LIMIT)
        found = systems(_text(done))
        if found is None:
            raise _ran_nothing(host, done, QUERY_LIMIT)
        wanted = server.batch.system
        names = [name for name in SCHEDULERS if name in found and wanted in ("auto", name)]
        if not names:
            raise ProblemError(none_found(host, found, wanted))
        fault = _fault(server, names[0])
        if fault is not None:
            raise ProblemError(fault)
        return SCHEDULERS[names[0]]

    def submit(
        self,
        server: Server,
        scheduler: Scheduler,
        mark: str,
        login: Link,
        cancel: CancelToken,
        *,
        takes_any: bool = False,
    ) -> Submission:
        """Submit a job of the entry, unless one with that mark is there: see `Request`."""
        fault = _fault(server, scheduler.system)
        if fault is not None:  # the entry has changed since
            return Refused(fault)
        request = replace(_request(server, mark), takes_any=takes_any)
        done = self._run(scheduler.submit(request), login, cancel, SUBMIT_LIMIT)
        _check_ran(server, done, SUBMIT_LIMIT)
        return scheduler.submission(_text(done), request)

    def would_start(
        self, server: Server, scheduler: Scheduler, login: Link, cancel: CancelToken
    ) -> Trial | Refused | Unsure:
        """See `Scheduler.trial`."""
        request = _request(server, "")
        done = self._run(scheduler.trial(request), login, cancel, SUBMIT_LIMIT)
        _check_ran(server, done, SUBMIT_LIMIT)
        return scheduler.would_start(_text(done), request, time.time())

    def query(
        self,
        server: Server,
        scheduler: Scheduler,
        login: Link,
        cancel: CancelToken,
        ended: Sequence[JobId] = (),
    ) -> Answer:
        """See `Scheduler.query`. A command that did not end in time is an `Unanswered`."""
        script = scheduler.query(job_name(server.name), ended)
        done = self._run(script, login, cancel, QUERY_LIMIT)
        if done.status < 0:
            return Unanswered(f"the login node did not answer within {QUERY_LIMIT:.0f} s")
        _check_ran(server, done, QUERY_LIMIT)
        return scheduler.answer(_text(done), time.time())

    def cancel(self, scheduler: Scheduler, job: JobId, login: Link, cancel: CancelToken) -> None:
        """Tell a job to end. Raises `ProblemError` if the scheduler did not take it."""
        done = self._run(scheduler.cancel(job), login, cancel, CANCEL_LIMIT)
        problem = scheduler.cancelled(_text(done))
        if problem is not None:
            raise ProblemError(problem)

    def _run(self, script: str, login: Link, cancel: CancelToken, limit: float) -> Completed:
        """One at a time for each link. The status of one that did not end in time is -1."""
        with self._lock:
            turn = self._turns.setdefault(login, threading.Lock())
        while not turn.acquire(timeout=0.1):
            cancel.check()

        def execute() -> Completed:
            try:
                return login.execute(remote_script.COMMAND, remote_script.stdin(script), limit)
            except NotEndedError as error:
                return error.so_far
            finally:
                turn.release()

        try:
            running = Background(execute, "tc-batch")
        except RuntimeError:  # no more threads
            turn.release()
            raise
        return running.result(cancel)


def _request(server: Server, mark: str) -> Request:
    assert server.batch is not None
    batch = server.batch
    script = job_script(server, mark)
    name = job_name(server.name)
    return Request(name, mark, batch.seconds, batch.options, script, lines=batch.lines)


def _text(done: Completed) -> str:
    return done.stdout.decode("utf-8", "replace")


def _fault(server: Server, system: str) -> Problem | None:
    """Of the options of an entry whose system is `auto`: not all were checked with the file."""
    assert server.batch is not None
    fault = next(option_faults(server.batch.options, cast(System, system)), None)
    if fault is None:
        return None
    index, reason = fault
    return Problem(
        f"An option of “{server.name}” cannot be used: {server.batch.options[index]}",
        f"It {reason}. Change it {place(server.batch.lines.options[index : index + 1], OPTIONS)}.",
    )


def _check_ran(server: Server, done: Completed, limit: float) -> None:
    if _BEGIN not in f"\n{_text(done)}":
        raise _ran_nothing(server.host or server.name, done, limit)


def _ran_nothing(host: str, done: Completed, limit: float) -> ProblemError:
    said = sanitize.end_of(done.stderr) or sanitize.end_of(done.stdout)
    problem = shell_is_slow(host, limit, said) if done.status < 0 else shell_ran_nothing(host, said)
    return ProblemError(problem)
