"""What the service of a batch job does over its links, as a protocol between its parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.link import Link
from trayconnect.services.batch.job import Answer, JobId
from trayconnect.services.batch.reach import Reach
from trayconnect.services.batch.scheduler import Refused, Scheduler, Submission, Trial, Unsure
from trayconnect.services.jupyter.service import Work as JupyterWork


class Cluster(Protocol):
    """The scheduler behind a login link. Each call is one remote command, bounded in time and
    cancellable; at most one runs at a time. Raises `ProblemError` where the login node runs no
    command, and `Cancelled`."""

    def find_scheduler(self, server: Server, login: Link, cancel: CancelToken) -> Scheduler:
        """The one of `batch.system`; for `auto`, the one whose commands the login node has. Raises
        `ProblemError` for none, or if the options of the entry are not for it."""
        ...

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
        ...

    def would_start(
        self, server: Server, scheduler: Scheduler, login: Link, cancel: CancelToken
    ) -> Trial | Refused | Unsure:
        """See `Scheduler.trial`."""
        ...

    def query(
        self,
        server: Server,
        scheduler: Scheduler,
        login: Link,
        cancel: CancelToken,
        ended: Sequence[JobId] = (),
    ) -> Answer:
        """See `Scheduler.query`. A command that did not end in time is an `Unanswered`."""
        ...

    def cancel(self, scheduler: Scheduler, job: JobId, login: Link, cancel: CancelToken) -> None:
        """Tell a job to end. Raises `ProblemError` if the scheduler did not take it."""
        ...


@dataclass(frozen=True, slots=True)
class BatchWork:
    """The real work, or that of a test."""

    cluster: Cluster
    reach: Reach
    jupyter: JupyterWork
    """Of the Jupyter in the job, over the link to its node."""
    new_mark: Callable[[], str]
    """A random mark for another order."""
