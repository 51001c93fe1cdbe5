"""A cluster as data, and the scheduler and the ways to its nodes over it, for tests of the service
of batch jobs. The schedulers themselves are tested on the real ones."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.support.servers import make_server
from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, Problem, Recovery
from trayconnect.core.link import Link
from trayconnect.services.batch.cluster import Cluster
from trayconnect.services.batch.job import (
    Answer,
    End,
    Ended,
    Job,
    JobFiles,
    JobId,
    JobsSeen,
    Phase,
    Reason,
    job_name,
)
from trayconnect.services.batch.scheduler import Refused, Scheduler, Submission, Submitted, Trial
from trayconnect.services.batch.slurm import Slurm

NOW = 1_800_000_000.0
"""A Friday."""


class FakeScheduler(Slurm):
    """Explains an end as the job itself says."""

    def ended(self, answer: JobsSeen, job: JobId, files: JobFiles | None) -> Ended:
        listed = answer.job(job)
        if listed is not None and listed.ended is not None:
            return listed.ended
        if files is not None and files.status is not None:
            return Ended(End.COMPLETED if not files.status else End.FAILED, files.status)
        return Ended(End.UNKNOWN)


def a_job(number: int = 7, phase: Phase = Phase.QUEUED, name: str = "gpu", **more: Any) -> Job:
    """A job of the entry of that name, one minute old."""
    values: dict[str, Any] = {"submitted": NOW - 60, "partition": "main"}
    if phase is Phase.RUNNING:
        values |= {
            "nodes": ("c1",),
            "starts": NOW,
            "ends": NOW + 14_400,
            "limit": 14_400.0,
        }
    return Job(str(number), job_name(name), phase, **(values | more))


def running(number: int = 7, **more: Any) -> Job:
    return a_job(number, Phase.RUNNING, **more)


def ended(job: Job, how: End = End.TIME_LIMIT) -> Job:
    return replace(job, phase=Phase.ENDED, ended=Ended(how))


def files_of(job: Job, **more: Any) -> JobFiles:
    return JobFiles(job.id, names=("c1",), socket=f"/tmp/tc-1/{job.id}.sock", **more)


def seen(*jobs: Job, files: Sequence[JobFiles] = ()) -> JobsSeen:
    return JobsSeen(jobs, tuple(files))


WAITS = Reason("Resources", "waits for free resources")
NEVER = Reason("PartitionTimeLimit", "the partition's time limit is shorter", starts=False)
DOWN = Problem("Slurm does not answer", "Wait", Recovery.RETRY)


def batch_server(**more: Any) -> Server:
    return make_server(**({"name": "gpu", "batch": {}} | more))


class FakeCluster(Cluster):
    """A list of jobs."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Job] = []
        self.marks: dict[str, JobId] = {}
        self.refusal: Problem | None = None
        self.queries = 0
        self.hidden: set[JobId] = set()
        """Those that the list does not show yet."""
        self.hangs = False
        """Whether a query takes until it is cancelled, and a moment longer."""

    def find_scheduler(self, server: Server, login: Link, cancel: CancelToken) -> Scheduler:
        return FakeScheduler()

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
        if self.refusal is not None:
            return Refused(self.refusal)
        if mark not in self.marks:
            job = a_job(len(self.jobs) + 1, name=server.name)
            self.jobs.append(job)
            self.marks[mark] = job.id
        return Submitted(self.marks[mark])

    def would_start(self, *_: object) -> Trial:
        return Trial(None)

    def query(
        self,
        server: Server,
        scheduler: Scheduler,
        login: Link,
        cancel: CancelToken,
        ended: Sequence[JobId] = (),
    ) -> Answer:
        self.queries += 1
        if self.hangs:
            cancel.wait(60)
            threading.Event().wait(0.2)
            raise Cancelled
        running_ones = [job for job in self.jobs if job.phase is Phase.RUNNING]
        shown = [job for job in self.jobs if job.id not in self.hidden]
        return seen(*shown, files=[files_of(job) for job in running_ones])

    def cancel(
        self,
        scheduler: Scheduler,
        job: JobId,
        login: Link,
        cancel: CancelToken,
    ) -> None:
        self.jobs = [ended(one, End.CANCELLED) if one.id == job else one for one in self.jobs]

    def begin(self, job: JobId) -> None:
        """The job runs from now on."""
        self.jobs = [running(int(job), name="gpu") if one.id == job else one for one in self.jobs]


class FakeLink:
    """A link that only counts its ends."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - nothing is carried
        raise AssertionError(f"called: {name}")
