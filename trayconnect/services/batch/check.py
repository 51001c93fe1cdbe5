"""What `trayconnect doctor` checks behind a link to a cluster, step by step. It submits nothing and
ends nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import NoReturn

from trayconnect.config.model import Server
from trayconnect.core import remote_script
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import name_on_command_line
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.link import Link, Own
from trayconnect.core.progress import Progress
from trayconnect.services.batch import notices
from trayconnect.services.batch.job import Job, JobFiles, JobsSeen, Phase, Unanswered
from trayconnect.services.batch.presentation import brief
from trayconnect.services.batch.reach import Destination, NodeLink
from trayconnect.services.batch.scheduler import Refused, Scheduler, Trial, Unsure
from trayconnect.services.batch.service import BatchWork, entry_in
from trayconnect.services.batch.times import start_words
from trayconnect.services.batch.ways import order
from trayconnect.services.jupyter.check import REACHED
from trayconnect.services.jupyter.discovery import LIMIT
from trayconnect.services.jupyter.health import HealthChecker
from trayconnect.services.protocol import Level, SetTarget


def check(
    server: Server,
    link: Link,
    set_target: SetTarget,
    cancel: CancelToken,
    steps: Progress,
    work: BatchWork,
) -> Problem | None:
    """See `kinds.Check`."""
    with steps.step("run a command on the login node"):
        link.execute(remote_script.COMMAND, remote_script.stdin("exit 0"), LIMIT)
    with steps.step("find the scheduler") as found:
        scheduler = work.cluster.find_scheduler(server, link, cancel)
        found.append(scheduler.title)
    with steps.step("ask it for your jobs") as found:
        seen = work.cluster.query(server, scheduler, link, cancel)
        if isinstance(seen, Unanswered):
            raise ProblemError(notices.unanswered(scheduler.title, seen.said))
        found += list(_listed(server, seen))
    job = _running(server, seen)
    if job is None:
        _without_job(server, scheduler, seen, link, cancel, steps, work)
    with steps.step(f"look at the files of job {job.id}") as found:
        files = seen.files_of(job.id)
        if files is None or not files.socket:
            raise ProblemError(notices.not_ready(job, files))
        found.append(f"on {files.node or job.node}, {files.socket}")
    node = _reached(Destination(server, scheduler, job, files), link, cancel, steps, work)
    try:
        with steps.step("look at its page through the tunnel") as found:
            return _look(server, files, node, set_target, cancel, found)
    finally:
        node.link.close()


def _listed(server: Server, seen: JobsSeen) -> Iterator[str]:
    now = time.time()
    own = [job for job in seen.jobs if job.is_of(server.name) and job.phase is not Phase.ENDED]
    for job in own:
        yield f"job {job.id} {brief(job, now)}"
    if not own:
        yield "no job of this entry"


def _running(server: Server, seen: JobsSeen) -> Job | None:
    """The entry's job that runs."""
    jobs = [job for job in seen.jobs if job.is_of(server.name)]
    return next((job for job in jobs if job.phase is Phase.RUNNING), None)


def _without_job(
    server: Server,
    scheduler: Scheduler,
    seen: JobsSeen,
    link: Link,
    cancel: CancelToken,
    steps: Progress,
    work: BatchWork,
) -> NoReturn:
    """Say why no page can answer."""
    now = time.time()
    queued = [j for j in seen.jobs if j.is_of(server.name) and j.phase is Phase.QUEUED]
    if queued:
        title = f"The job on {server.name} is {brief(queued[0], now)}"
        raise ProblemError(Problem(title, "The page answers when it runs.", Recovery.RETRY))
    with steps.step("ask when a job would start") as found:
        answer = work.cluster.would_start(server, scheduler, link, cancel)
        match answer:
            case Refused(problem):
                raise ProblemError(problem)
            case Unsure(said):
                found.append(f"no answer: {said}")
            case Trial(at, where):
                when = "no estimate" if at is None else start_words(at, now)
                found.append(f"{when}, {where}" if where else when)
    title = f"No job of yours runs on {server.name}"
    command = f"trayconnect start {name_on_command_line(server.name)}"
    raise ProblemError(Problem(title, f"Submit one with: {command}"))


def _reached(
    to: Destination, link: Link, cancel: CancelToken, steps: Progress, work: BatchWork
) -> NodeLink:
    """Try each way that the entry allows; keep the first that works. Raises `ProblemError`."""
    reached: NodeLink | None = None
    last = Problem("No way leads to the node", "Set 'reach' under 'batch' to auto")
    batch = to.server.batch
    assert batch is not None
    for way in order(batch.reach):
        only = to.server.model_copy(update={"batch": batch.model_copy(update={"reach": way.value})})
        with steps.step(f"reach {to.job.node or 'the node'} by {way.value}") as found:
            try:
                node = work.reach(replace(to, server=only), link, cancel, lambda _problem: None)
            except ProblemError as error:
                last = error.problem
                found.append(f"does not work: {last.detail or last.title}")
                found.is_doubtful = True
                continue
            found.append("works")
        if reached is None:
            reached = node
        else:
            node.link.close()
    if reached is None:
        raise ProblemError(last)
    return reached


def _look(
    server: Server,
    files: JobFiles,
    node: NodeLink,
    set_target: SetTarget,
    cancel: CancelToken,
    found: list[str],
) -> Problem | None:
    def set_seen(target: Own | Problem) -> None:
        set_target(node.seen_from_login(target))

    health = HealthChecker(patience=None)(entry_in(server, files), node.link, set_seen, cancel)
    found.append(f"{REACHED[health.level]}, by {node.way.value}")
    if health.level < Level.READY:
        silent = Problem("No page answers yet", "Try again in a moment", Recovery.RETRY)
        raise ProblemError(health.problem or silent)
    return health.problem
