"""When the scheduler is asked, and when the node of a job may be reached. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeGuard

from trayconnect.services.batch.job import Job, JobFiles, Phase
from trayconnect.services.batch.state import BatchState, Want

SOON = 600.0
"""Seconds before its end at which the user is notified; of a short job, a quarter of its time."""
HOME_SHOWS = 10.0
"""Seconds for the first file of a job to show on the login node; a home that lags takes longer."""
HOME_LAG = 90.0
"""Seconds for all of them."""
SILENT = (10.0, 20.0, 40.0, 60.0)
"""Seconds until the next query of a scheduler that does not answer."""
AT_ONCE = 15.0
"""Seconds in the queue of a job that a free node takes."""
QUEUED = ((AT_ONCE, 2.0), (60.0, 5.0), (3600.0, 60.0), (21600.0, 120.0), (math.inf, 300.0))
"""Seconds between two queries of a queued job, up to that many seconds in the queue."""
NEAR = 120.0
"""Seconds before and after the estimated start during which the pause is `NEAR_PAUSE`."""
NEAR_PAUSE = 5.0
START_LIMIT = 120.0
"""Seconds for a job to start its Jupyter."""
STARTING = ((20.0, 1.0), (START_LIMIT, 2.0), (math.inf, 30.0))
"""Seconds between two queries of a job whose Jupyter starts, up to that many seconds."""
ENDING = ((60.0, 2.0), (600.0, 15.0), (math.inf, 60.0))
"""Seconds between two queries of a job that is ending, up to that many seconds."""
PAUSE = 60.0
OVERDUE_PAUSE = 15.0
"""Seconds between two queries of a job whose time is over."""
IDLE_PAUSE = 300.0


def next_due(state: BatchState) -> float:
    """When the next `Due` is to come; inf while there is no link."""
    if not state.is_linked:
        return math.inf
    query = math.inf if state.is_asking else next_query(state)
    return min(query, state.reach_at) if can_be_reached(state) else query


def next_query(state: BatchState) -> float:
    """When the next query is due."""
    if state.asks_again:
        return -math.inf
    last = state.asked_at
    moments = [moment for moment in _moments(state) if moment > last]
    return min([last + _pause(state), *moments])


def can_be_reached(state: BatchState) -> bool:
    """Whether the node of the job can be reached, and is not."""
    job = state.job
    is_running = job is not None and job.phase is Phase.RUNNING and state.is_current
    if not is_running or state.explaining or state.scheduler is None:
        return False
    return state.way is None and not state.is_reaching and is_ready(state)


def is_ready(state: BatchState) -> bool:
    """Whether it is known where the Jupyter of the job listens."""
    job, files = state.job, state.files
    if job is None or not job.is_of(state.server.name):
        return job is not None
    return _has_begun(files) and files.status is None and bool(files.socket)


def _has_begun(files: JobFiles | None) -> TypeGuard[JobFiles]:
    """Whether the job's first file shows."""
    return files is not None and bool(files.names)


def waits_for_home(state: BatchState, now: float) -> bool:
    """Whether the job must have begun to write its files by now, and none shows."""
    since, job = state.running_since, state.job
    is_ours = job is not None and job.is_of(state.server.name)
    has_time = since is not None and now - since > HOME_SHOWS
    return is_ours and has_time and not _has_begun(state.files)


def files_are_late(state: BatchState, now: float) -> bool:
    """Whether the files of the running job should have shown."""
    since = state.running_since
    return since is not None and not is_ready(state) and now - since > HOME_LAG


def notice_before(job: Job) -> float:
    """Seconds before the end of a job at which the user is notified."""
    return SOON if job.limit is None else min(SOON, job.limit / 4)


def nth(pauses: Sequence[float], number: int) -> float:
    """The pause after so many failures; the last one after more."""
    return pauses[min(number, len(pauses) - 1)]


def _pause(state: BatchState) -> float:
    if state.silences:
        return nth(SILENT, state.silences - 1)
    job, last = state.job, state.asked_at
    if job is None or job.phase is Phase.ENDED:
        return PAUSE if state.want is not Want.NOTHING else IDLE_PAUSE
    if state.ending or job.phase is Phase.ENDING:
        return _after(ENDING, last - state.ending_since)
    if job.phase is Phase.QUEUED:
        return _in_queue(job, last)
    if state.way is None and not is_ready(state):
        since = last if state.running_since is None else state.running_since
        return _after(STARTING, last - since)
    pause = OVERDUE_PAUSE if job.ends is not None and last >= job.ends else PAUSE
    others = (one for one in state.own_live if one.phase is Phase.QUEUED)
    return min((pause, *(_in_queue(one, last) for one in others)))


def _in_queue(job: Job, last: float) -> float:
    if job.starts is not None and abs(job.starts - last) < NEAR:
        return NEAR_PAUSE
    return _after(QUEUED, 0.0 if job.submitted is None else last - job.submitted)


def _after(pauses: Sequence[tuple[float, float]], waited: float) -> float:
    return next(pause for most, pause in pauses if waited < most)


def _moments(state: BatchState) -> list[float]:
    """When something is to be seen or told of a running job."""
    job, since = state.job, state.running_since
    if job is None or job.phase is not Phase.RUNNING:
        return []
    moments = [] if since is None else [since + HOME_LAG + 1.0]
    return moments if job.ends is None else [*moments, job.ends - notice_before(job), job.ends]
