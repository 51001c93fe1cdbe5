"""The notices and problems of batch jobs, for people. Pure."""

from __future__ import annotations

from trayconnect.config.model import Server
from trayconnect.core.command import Button, Command
from trayconnect.core.errors import Problem, Recovery
from trayconnect.core.notices import EDIT, Notice, Urgency, open_page
from trayconnect.services.batch.job import End, Ended, Job, JobFiles, Phase, Reason
from trayconnect.services.batch.options import place
from trayconnect.services.batch.state import BatchState
from trayconnect.services.batch.times import duration
from trayconnect.services.jupyter.start import StartResult
from trayconnect.services.jupyter.start_errors import failure

_KILLED = 137
"""Of a process that SIGKILL ended; a shell says 128 + 9."""
_ENDS = {
    End.COMPLETED: "its Jupyter was shut down",
    End.FAILED: "it failed",
    End.IMPOSSIBLE: "it cannot run as asked",
    End.NOT_LAUNCHED: "the node could not start it",
    End.CANCELLED: "it was cancelled",
    End.TIME_LIMIT: "time limit reached",
    End.OUT_OF_MEMORY: "out of memory",
    End.NODE_FAILED: "its node failed",
    End.UNKNOWN: "the scheduler no longer knows it",
}
_ADVICE = {
    End.TIME_LIMIT: "For a longer one, change 'time' under 'batch'.",
    End.OUT_OF_MEMORY: "Ask for more memory in 'options' under 'batch'.",
    End.NOT_LAUNCHED: "Its node may be at fault; try another job.",
    End.IMPOSSIBLE: "Change 'options' under 'batch'.",
    End.FAILED: "Look at its log.",
}


def tag(server: str) -> str:
    """Of the notices about the job of an entry."""
    return f"job {server}"


def new_job(server: str) -> Button:
    return Button("New job", Command("new-job", server))


def how(ended: Ended | None) -> str:
    """How a job ended, in words."""
    if ended is None:
        return _ENDS[End.UNKNOWN]
    words = "you ended it" if ended.by_user else ended.why or _ENDS[ended.how]
    if ended.how is End.FAILED and ended.signal:
        return f"{words} (signal {ended.signal})"
    if ended.how is End.FAILED and ended.status:
        return f"{words} (exit status {ended.status})"
    return words


def advice(ended: Ended | None) -> str:
    """What to do after a job ended like this."""
    first = _ADVICE.get(ended.how, "") if ended is not None else ""
    return f"{first} Choose New job to submit another.".lstrip()


def failed_start(state: BatchState) -> Problem | None:
    """Why the Jupyter of the job that has ended never answered here, if its log or its exit status
    tells."""
    job = state.job
    ended = None if job is None else job.ended
    if ended is None or ended.how is not End.FAILED or state.was_reached:
        return None
    if not ended.status or ended.status == _KILLED:
        return None
    node = state.files.node if state.files is not None else ""
    there = state.server.model_copy(update={"host": node or state.server.host})
    started = StartResult(answered=True, status=ended.status, log=ended.log)
    return failure(started, there, 0.0)


def started(server: str, job: Job) -> Notice:
    node = f" on {job.node}" if job.node else ""
    return Notice(
        tag(server),
        f"Your job on {server} has started",
        f"Job {job.id} runs{node}.",
        buttons=(open_page(server),),
    )


def ends_soon(server: str, job: Job, now: float) -> Notice:
    left = duration((job.ends or now) - now)
    return Notice(
        tag(server),
        f"Your job on {server} ends in {left}",
        "Save your notebooks. Kernels and their variables are lost then; New job submits another.",
        Urgency.CRITICAL,
        buttons=(open_page(server), new_job(server)),
    )


def ended(state: BatchState, job: Job) -> Notice:
    name, words = state.server.name, how(job.ended)
    failed = failed_start(state)
    text = f"{words[:1].upper()}{words[1:]}. {advice(job.ended)}" if failed is None else str(failed)
    return Notice(tag(name), f"Your job on {name} ended", text, buttons=(new_job(name),))


def never_starts(server: Server, job: Job, reason: Reason) -> Notice:
    return Notice.of(tag(server.name), cannot_start(server, job, reason), buttons=(EDIT,))


def cannot_start(server: Server, job: Job, reason: Reason) -> Problem:
    """The scheduler has taken a job that it will not start as it is."""
    line = server.batch.lines.batch if server.batch is not None else 0
    return Problem(
        f"The job on {server.name} will not start as asked: {reason.text}",
        f"Change 'batch' {place([line], 'of its entry')}, end job {job.id}, and choose New job. "
        f"The scheduler's reason: {reason.word}.",
    )


def refused(server: str, problem: Problem) -> Notice:
    return Notice.of(tag(server), problem, asked=True, buttons=(EDIT,))


def unclear(server: str) -> Problem:
    return Problem(
        f"No job was submitted on {server}: the scheduler gave no clear answer",
        "Choose New job to try again.",
        Recovery.RETRY,
    )


def unanswered(scheduler: str, said: str) -> Problem:
    return Problem(
        f"{scheduler} does not answer",
        "A job that runs is not affected. Asking again automatically.",
        Recovery.RETRY,
        said,
    )


def goes_on(server: str, job: Job, now: float) -> Notice:
    """The entry no longer leads to a job that lives."""
    left = f", {duration(job.ends - now)} left" if job.ends is not None and job.ends > now else ""
    does = "waits in the queue" if job.phase is Phase.QUEUED else f"runs on {job.node}{left}"
    return Notice(
        f"{tag(server)} left",
        f"Job {job.id} of {server} goes on",
        f"It {does}, and the server file no longer leads there. An entry “{server}” with 'batch', "
        "and the host of before, finds it again, to use or to end it.",
        buttons=(EDIT,),
    )


def stands_still(server: str, job: Job) -> Problem:
    """Its Jupyter does not answer, and its state may be why."""
    return Problem(
        f"The job on {server} does not go on: {job.note}",
        "Its Jupyter answers again when the cluster lets it go on.",
        Recovery.RETRY,
    )


def not_ready(job: Job, files: JobFiles | None) -> Problem:
    """A job has run for a while, and does not tell where its Jupyter listens."""
    node = job.node or "its node"
    if files is not None and files.names:
        return Problem(
            f"The job runs on {node}, but Jupyter has not started there",
            "Look at the job's log.",
            Recovery.RETRY,
        )
    return Problem(
        f"The job runs on {node}, but the login node does not show its files",
        f"trayconnect needs a folder that the login node shares with {node}: the home folder, or "
        "the one that XDG_STATE_HOME names. Use a login node that has it, or set XDG_STATE_HOME in "
        "~/.bashrc there; then end the job and choose New job.",
        Recovery.RETRY,
    )
