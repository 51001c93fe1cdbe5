"""The batch jobs of an entry as data for menu, windows, command line and JSON. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any

from trayconnect.core.command import Command
from trayconnect.core.errors import Problem, Recovery
from trayconnect.services.batch import notices
from trayconnect.services.batch.job import Job, Phase
from trayconnect.services.batch.pace import (
    AT_ONCE,
    SOON,
    START_LIMIT,
    files_are_late,
    waits_for_home,
)
from trayconnect.services.batch.state import BatchState, Want
from trayconnect.services.batch.times import duration, moment, ordinal, start_words
from trayconnect.services.jupyter.presentation import aligned
from trayconnect.services.protocol import Level, Line, Offer, ServiceStatus


class Stage(enum.Enum):
    """The state of the job in use, for people and programs."""

    LOOKING = "looking"
    SUBMITTING = "submitting"
    NONE = "none"
    QUEUED = "queued"
    STARTING = "starting"
    REACHING = "reaching"
    RUNNING = "running"
    ENDS_SOON = "ending_soon"
    ENDING = "ending"
    ENDED = "ended"


OVERDUE = 120.0
"""Seconds after its estimated start until which a job starts soon."""

_WAITS = (Stage.LOOKING, Stage.SUBMITTING)
_STARTS = (Stage.STARTING, Stage.REACHING)
_NO_JOB = (Stage.NONE, Stage.ENDED)


def stage(state: BatchState, jupyter: ServiceStatus, now: float) -> Stage:
    """`jupyter`: the status of the Jupyter in the job."""
    job = state.job
    if state.is_submitting and not state.is_live:
        return Stage.SUBMITTING
    if state.want is not Want.NOTHING and not state.is_live and state.silent is None:
        return Stage.LOOKING
    if job is None:
        return Stage.NONE if state.is_current or state.silent is not None else Stage.LOOKING
    match job.phase:
        case Phase.QUEUED:
            return Stage.QUEUED
        case Phase.ENDING:
            return Stage.ENDING
        case Phase.ENDED:
            return Stage.ENDED
    if state.ending == job.id:
        return Stage.ENDING
    if state.way is None:
        is_known = state.is_reaching or state.unreached is not None or state.was_reached
        return Stage.REACHING if is_known else Stage.STARTING
    since = now if state.running_since is None else state.running_since
    if jupyter.level < Level.READY and now - since < START_LIMIT and not _is_withheld(jupyter):
        return Stage.STARTING
    return Stage.ENDS_SOON if job.ends is not None and job.ends - now < SOON else Stage.RUNNING


def present(state: BatchState, jupyter: ServiceStatus, now: float) -> ServiceStatus:
    """The state as data of the protocol."""
    at = stage(state, jupyter, now)
    is_entered = state.way is not None
    problem = _problem(state, jupyter, at, now)
    in_progress = (
        at in _WAITS
        or (at is Stage.ENDING and _is_ordered(state))
        or (problem is None and _may_start_at_once(state, at, now))
    )
    is_new = at in _STARTS and in_progress and not state.was_reached
    return ServiceStatus(
        level=jupyter.level if is_entered else Level.NOTHING,
        page=jupyter.page if is_entered else None,
        problem=problem,
        state_text=words(state, jupyter, at, now),
        lines=tuple(_lines(state, jupyter, at, now)),
        commands=tuple(_offers(state, at, now)),
        in_progress=in_progress,
        browser_pending=state.is_waited_for(now) or jupyter.browser_pending,
        expects_page=not is_new and at not in (*_NO_JOB, Stage.QUEUED, Stage.ENDING, *_WAITS),
        checks=jupyter.checks,
        json={**jupyter.json, "starting": at in _STARTS, **_json(state, at, now)},
    )


def _is_ordered(state: BatchState) -> bool:
    """Whether a job is to be submitted, or was a moment ago."""
    return state.is_submitting or state.want is not Want.NOTHING or state.expected is not None


def _may_start_at_once(state: BatchState, at: Stage, now: float) -> bool:
    """Whether the page is expected within moments: a free node takes a job some seconds after its
    submission, before which no scheduler says why it waits."""
    job = state.job
    if job is None or at is not Stage.QUEUED:
        return at in _STARTS
    is_new = job.submitted is not None and now - job.submitted < AT_ONCE
    return is_new and (job.starts is None or job.starts - now < AT_ONCE)


def words(state: BatchState, jupyter: ServiceStatus, at: Stage, now: float) -> str:
    """The state of the job in use."""
    text = _words(state, jupyter, at, now)
    if state.silent is not None and at not in _NO_JOB and state.scheduler is not None:
        text = f"{text}; {state.scheduler.title} does not answer"
    return text


def no_page(state: BatchState, jupyter: ServiceStatus, now: float) -> Problem | None:
    """Why the local port leads nowhere. None: connections wait for the node to be reached again."""
    at = stage(state, jupyter, now)
    if at is Stage.REACHING and state.was_reached and state.unreached is None:
        return None
    problem = _problem(state, jupyter, at, now)
    if problem is not None:
        return problem
    title = f"{state.server.name} is {words(state, jupyter, at, now)}"
    return Problem(title, "The page opens here when Jupyter runs.", Recovery.RETRY)


def table(state: BatchState, now: float) -> list[str]:
    """One line for each job; the one in use is marked."""
    return aligned(
        (
            "*" if _is_used(state, job) else " ",
            job.id,
            job.partition,
            brief(job, now) + _whose(state, job),
        )
        for job in listed(state)
    )


def listed(state: BatchState) -> tuple[Job, ...]:
    """The jobs to choose among: the entry's, then those that were submitted elsewhere."""
    return (*state.own_live, *state.foreign)


def job_label(state: BatchState, job: Job, now: float) -> str:
    """A job in a few words: "job 4711 on c12, 3 h 40 min left"."""
    return f"job {job.id} {brief(job, now)}{_whose(state, job)}"


def _whose(state: BatchState, job: Job) -> str:
    if job.is_of(state.server.name):
        return ""
    return ", of another entry" if job.is_ours else ", submitted by hand"


# --- in words -------------------------------------------------------------------------------------


def _words(state: BatchState, jupyter: ServiceStatus, at: Stage, now: float) -> str:
    job = state.job
    match at:
        case Stage.LOOKING:
            return "logged in, looking for your job…"
        case Stage.SUBMITTING:
            return "submitting a job…"
        case Stage.NONE:
            return "connected, no job" if state.silent is None else "connected"
    assert job is not None
    match at:
        case Stage.STARTING if waits_for_home(state, now):
            return f"waiting for the files of the job on {job.node or 'its node'}…"
        case Stage.STARTING:
            return f"starting Jupyter on {job.node}" if job.node else "starting Jupyter…"
        case Stage.REACHING:
            return f"reaching {job.node or 'the node'}…"
        case Stage.ENDING:
            return f"job {job.id} is ending"
        case Stage.ENDED:
            failed = notices.failed_start(state) is not None
            return f"ended: {'Jupyter failed' if failed else notices.how(job.ended)}"
    text = brief(job, now)
    if at in (Stage.RUNNING, Stage.ENDS_SOON) and jupyter.level < Level.READY:
        return (
            f"{text}, {'in another folder' if _is_withheld(jupyter) else 'Jupyter does not answer'}"
        )
    return text


def brief(job: Job, now: float) -> str:
    """A job's state, without its number."""
    if job.phase is Phase.QUEUED:
        if job.reason is not None and not job.reason.starts:
            return f"queued: will not start as asked: {job.reason.text}"
        queued = "queued" if job.place is None else f"queued, {ordinal(job.place)} in line"
        if _has_estimate(job, now) and job.starts is not None:
            return f"{queued}, starts {start_words(job.starts, now)}"
        if job.reason is not None and job.reason.text:
            return f"{queued}: {job.reason.text}"
        return queued
    where = f"on {job.node}" if job.node else "running"
    note = f", {job.note}" if job.note else ""
    if job.ends is None:
        return f"{where}{note}"
    left = job.ends - now
    if left <= 0:
        return f"{where}{note}, its time is over"
    time = f"ends in {duration(left)}" if left < SOON else f"{duration(left)} left"
    return f"{where}{note}, {time}"


def _has_estimate(job: Job, now: float) -> bool:
    """Whether its estimated start still tells something: schedulers leave one that is over."""
    return job.starts is not None and job.starts > now - OVERDUE


def _lines(state: BatchState, jupyter: ServiceStatus, at: Stage, now: float) -> Iterator[Line]:
    job = state.job
    if job is not None and at not in _WAITS:
        queue = f" in {job.partition}" if job.partition else ""
        by = f", reached by {state.way.value}" if state.way is not None else ""
        yield Line("job", f"Job {job.id}{queue}{by}", in_menu=at not in _NO_JOB)
        if job.phase is Phase.QUEUED and job.reason is not None and _has_estimate(job, now):
            why = job.reason.text
            yield Line("reason", f"It {why}" if why.startswith("waits ") else _sentence(why))
        if job.phase is Phase.QUEUED and job.submitted is not None:
            yield Line("since", f"Queued since {moment(job.submitted, now)}", in_menu=False)
        if job.phase is Phase.RUNNING and job.ends is not None:
            yield Line("until", f"Its time ends at {moment(job.ends, now)}", in_menu=False)
    for other in listed(state):
        is_shown_there = other.is_ours and not other.is_of(state.server.name)
        if not _is_used(state, other) and not is_shown_there:
            label = job_label(state, other, now)
            yield Line(f"job {other.id}", f"Also {label}", in_menu=other.is_of(state.server.name))
    if state.silent is not None and at not in _NO_JOB and at not in _WAITS:
        said = state.silent.detail or state.silent.title
        yield Line("silent", f"Asking again: {said}", in_menu=False)
    if state.way is not None:
        yield from jupyter.lines


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _problem(state: BatchState, jupyter: ServiceStatus, at: Stage, now: float) -> Problem | None:
    name, job = state.server.name, state.job
    if at in _WAITS or not state.is_linked:
        return None
    if at in _NO_JOB and state.silent is not None:
        return state.silent
    if state.refusal is not None:
        return state.refusal
    match at:
        case Stage.NONE:
            return Problem(f"No job of yours runs on {name}", "Choose New job to submit one.")
        case Stage.ENDED if job is not None:
            title = f"The job on {name} ended: {notices.how(job.ended)}"
            return notices.failed_start(state) or Problem(title, notices.advice(job.ended))
        case Stage.QUEUED if job is not None and job.reason is not None and not job.reason.starts:
            return notices.cannot_start(state.server, job, job.reason)
    is_silent = at in (*_STARTS, Stage.RUNNING, Stage.ENDS_SOON) and jupyter.level < Level.READY
    if job is not None and job.note and is_silent:
        return notices.stands_still(name, job)
    if at is Stage.REACHING or state.unreached is not None:
        return state.unreached
    if at is Stage.STARTING and files_are_late(state, now):
        return None if job is None else notices.not_ready(job, state.files)
    if at in (Stage.RUNNING, Stage.ENDS_SOON):
        return _silent_jupyter(state, jupyter)
    return None


def _is_withheld(jupyter: ServiceStatus) -> bool:
    """Whether the job's Jupyter was found, and its page is kept from the open tabs of another."""
    found = next((offer.children for offer in jupyter.commands if offer.key == "jupyters"), ())
    return bool(found) and jupyter.problem is not None and not any(one.checked for one in found)


def _silent_jupyter(state: BatchState, jupyter: ServiceStatus) -> Problem | None:
    problem, job = jupyter.problem, state.job
    if problem is None or job is None or jupyter.level > Level.NOTHING or _is_withheld(jupyter):
        return problem
    return Problem(
        f"Jupyter does not answer on {job.node or 'the node'}",
        "The job runs. Look at its log, or end it and choose New job.",
        Recovery.RETRY,
        problem.logged,
    )


# --- to do ----------------------------------------------------------------------------------------


def _offers(state: BatchState, at: Stage, now: float) -> Iterator[Offer]:
    name = state.server.name
    jobs = listed(state)
    if len(jobs) > 1 or any(not _is_used(state, job) for job in jobs):
        yield Offer("jobs", "Jobs", children=tuple(_choices(state, now)))
    if state.is_live and at is not Stage.SUBMITTING:
        ends = Command("end-job", name)
        yield Offer("end-job", "End job…", ends, enabled=at is not Stage.ENDING)
    yield Offer(
        "new-job",
        "New job",
        Command("new-job", name),
        enabled=state.is_linked and not _is_ordered(state),
        mends=at in _NO_JOB,
    )
    if state.is_linked and state.job is not None:
        yield Offer("job-log", "Show the job's log", Command("show-jupyter-log", name))


def _choices(state: BatchState, now: float) -> Iterator[Offer]:
    for job in listed(state):
        command = Command("choose-jupyter", state.server.name, {"jupyter": job.id})
        label = job_label(state, job, now)
        text = _sentence(label)
        yield Offer(f"job {job.id}", text, command, checked=_is_used(state, job), radio=True)


def _is_used(state: BatchState, job: Job) -> bool:
    return state.job is not None and state.job.id == job.id


# --- JSON -----------------------------------------------------------------------------------------


def _json(state: BatchState, at: Stage, now: float) -> dict[str, Any]:
    jobs = [_job(one, now) for one in listed(state)]
    if state.job is None:
        return {"job": None, "jobs": jobs}
    used = {
        "state": at.value,
        "way": None if state.way is None else state.way.value,
        "log": state.log,
        "unanswered": None if state.silent is None else state.silent.detail or state.silent.title,
    }
    return {"job": {**_job(state.job, now), **used}, "jobs": jobs}


def _job(job: Job, now: float) -> dict[str, Any]:
    is_queued, ended = job.phase is Phase.QUEUED, job.ended
    left = None if job.ends is None or job.phase is not Phase.RUNNING else max(0.0, job.ends - now)
    return {
        "id": job.id,
        "name": job.name,
        "state": job.phase.value,
        "reason": None if job.reason is None else job.reason.word,
        "reason_text": None if job.reason is None else job.reason.text,
        "place": job.place,
        "note": job.note or None,
        "node": job.node or None,
        "partition": job.partition or None,
        "submitted": job.submitted,
        "starts": job.starts if is_queued else None,
        "started": None if is_queued else job.starts,
        "ends": job.ends,
        "time_left": None if left is None else round(left),
        "ended": None
        if ended is None
        else {
            "how": ended.how.value,
            "words": notices.how(ended),
            "status": ended.status,
            "signal": ended.signal,
            "at": ended.at,
        },
    }
