"""Slurm, versions 20 to 24. Text formats only: its JSON differs from version to version, needs a
plugin, and lists the whole cluster. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from shlex import quote

from trayconnect.config.batch_options import System
from trayconnect.core import sanitize
from trayconnect.core.errors import Problem
from trayconnect.services.batch import slurm_words
from trayconnect.services.batch.job import (
    PREFIX,
    End,
    Ended,
    Job,
    JobId,
    Phase,
    Reason,
    is_job_id,
)
from trayconnect.services.batch.report import Clock, number
from trayconnect.services.batch.scheduler import Request, Scheduler, Trial
from trayconnect.services.batch.script import finding
from trayconnect.services.batch.slurm_states import Living, Over, state_of

_ID = re.compile(r"([0-9]{1,18})(?:;\S+)?")
_LIMIT = re.compile(r"(?:([0-9]{1,9})-)?(?:([0-9]{1,9}):)?([0-9]{1,9}):([0-9]{1,9})")
_FIELD = re.compile(r"(?:^| )([A-Z][\w:/]*)=")
_EXIT = re.compile(r"([0-9]{1,3}):([0-9]{1,3})")
_FORECAST = re.compile(r"Job [0-9]+ to start at (\S+) (using .*)")
_FIRST = "JOBID|STATE|"
"""Begins the list of squeue, also an empty one."""
_NO_LIST = re.compile(r"Invalid user|load_jobs|ontact|onnect|imed out|annot|an't|not available")
"""In an error."""
_SILENT = re.compile(r"slurm_load_jobs error: (?!Invalid job id)")
_NONE = frozenset(("", "n/a", "N/A", "(null)", "None", "NONE", "Unknown"))

_OWN_ENDS = (End.COMPLETED, End.FAILED, End.NOT_LAUNCHED)
_OUT_OF_MEMORY = 125
"""As the signal, where the kernel ended a process."""
_OF_SRUN = r"s/^\(SLURM_[A-Z0-9_]*\|SRUN_[A-Z0-9_]*\)=.*/\1/p"
_KEPT = r"SLURM_CONF\|SLURM_CLUSTERS\|SLURM_JWT"
_PLACE = 10
"""Seconds that a step may wait for the resources of its job."""


class Slurm(Scheduler):
    """See `Scheduler`."""

    system: System = "slurm"
    title = "Slurm"
    has_steps = True
    command = "sbatch"
    guard = "--no-requeue"
    variables = "SLURM_CONF[A-Z_]*|SLURM_JWT"

    def ours(self, request: Request) -> Sequence[str]:
        return (
            f"--job-name={request.name}",
            f"--comment=trayconnect 1 {request.mark}",
            "--no-requeue",
            "--export=NONE",
            "--output=/dev/null",
            f"--time={_time(request.seconds)}",
        )

    def job_of(self, lines: Sequence[str]) -> JobId:
        # Wrappers of a site print around it.
        found = [match[1] for line in lines if (match := _ID.fullmatch(line.strip()))]
        return found[-1] if found else ""

    def refusal(self, lines: Sequence[str], request: Request) -> Problem | None:
        return slurm_words.refusal(lines, request)

    def forecast(self, lines: Sequence[str], clock: Clock) -> Trial | None:
        for line in lines:
            if match := _FORECAST.search(line):
                return Trial(clock.time(match[1]), sanitize.line(match[2]))
        return None

    def has_gone(self, said: str) -> bool:
        return "Invalid job id" in said or "already completing or completed" in said

    def explain(self, word: str) -> Reason:
        return slurm_words.reason(word)

    # --- the list of jobs ---

    def jobs(self, lines: Sequence[str], clock: Clock) -> tuple[Job, ...] | None:
        found = tuple(job for line in lines if (job := self._job(line, clock)) is not None)
        if found:
            return found
        # squeue, or what a site has put before it, exits with 0 after some errors, too: only its
        # first line tells an empty list.
        is_list = any(line.startswith(_FIRST) for line in lines)
        return () if is_list and not any(map(_is_no_list, lines)) else None

    def _job(self, line: str, clock: Clock) -> Job | None:
        parts = line.split("|", 9)
        if len(parts) < 10 or not is_job_id(parts[0]):
            return None
        number, state, nodes, host, starts, ends, limit, submitted, partition, rest = parts
        # Both the reason and the name of another program may hold the separator.
        word, _, name = rest.rpartition("|") if f"|{PREFIX}" in rest else rest.partition("|")
        job = Job(
            number,
            sanitize.line(name),
            Phase.ENDED,
            partition=sanitize.line(partition),
            submitted=clock.time(submitted),
            starts=clock.time(starts),
            ends=clock.time(ends),
            limit=_seconds(limit),
            nodes=_nodes(nodes, host),
        )
        at = state_of(state, has_node=host not in _NONE)
        if isinstance(at, Over):
            return replace(job, ended=Ended(at.how, at=job.ends, why=at.why))
        return _living(job, at, state, word)

    # --- ends ---

    def explained(self, job: JobId, lines: Sequence[str], clock: Clock) -> Job | None:
        told = next((found for line in lines if (found := _record(line, job))), None)
        if told is None:
            return None
        host = told.get("BatchHost", "")
        known = Job(
            job,
            sanitize.line(told.get("JobName", "")),
            Phase.ENDED,
            partition=sanitize.line(told.get("Partition", "")),
            submitted=clock.time(told.get("SubmitTime", "")),
            starts=clock.time(told.get("StartTime", "")),
            ends=clock.time(told.get("EndTime", "")),
            limit=_seconds(told.get("TimeLimit", "")),
            nodes=_nodes(told.get("NodeList", ""), host),
        )
        state = told.get("JobState", "")
        at = state_of(state, has_node=host not in _NONE)
        if isinstance(at, Over):
            return replace(known, nodes=(), ended=_ended(told, at, known.ends))
        # A list of squeue may be older, as where a site caches it; and sacct goes on listing some
        # as running whose end it has missed.
        return _living(known, at, state, told.get("Reason", "")) if "JobId" in told else None

    def is_silent(self, lines: Sequence[str]) -> bool:
        is_told = any(line.startswith(("JobId=", "sacct|")) for line in lines)
        return not is_told and any(_SILENT.search(line) for line in lines)

    # --- inside a job ---

    def step(self, job: Job, program: str) -> str:
        node = job.nodes[0] if job.nodes else ""
        where = f" --nodelist={quote(node)}" if node else ""
        # Before 20.11 steps share by themselves. The login's own environment stays behind, and what
        # it may set for srun, such as labels before each line.
        line = (
            f"{finding('srun', self.variables)}; "
            f"unset $(env | sed -n {quote(_OF_SRUN)} | grep -vx {quote(_KEPT)}); "
            "case $(srun --help </dev/null 2>&1) in "
            "*--overlap*) share=--overlap ;; *) share= ;; esac; "
            f"exec srun --jobid={job.id} $share --unbuffered --quiet --nodes=1 --ntasks=1{where} "
            f"--immediate={_PLACE} --mpi=none --export=PATH,HOME,USER,LOGNAME,SHELL,LANG "
            f"/bin/sh -c {quote(program)}"
        )
        return f"exec sh -c {quote(line)}"


def _is_no_list(line: str) -> bool:
    return bool(_NO_LIST.search(line.partition("error:")[2]))


def _living(job: Job, at: Living, state: str, word: str) -> Job:
    """A job that has not ended. `word`: why it waits."""
    if at.phase is not Phase.QUEUED:
        return replace(job, phase=at.phase, note=at.text)
    reason = slurm_words.reason(word)
    if at.text and reason.starts:
        reason = Reason(sanitize.line(state), at.text, at.starts)
    return replace(job, phase=at.phase, reason=reason, ends=None, nodes=())


def _ended(told: Mapping[str, str], at: Over, ended_at: float | None) -> Ended:
    how = at.how
    match = _EXIT.fullmatch(told.get("ExitCode", ""))
    status, signal = (int(match[1]), int(match[2])) if match else (None, None)
    reason, why = slurm_words.reason(told.get("Reason", "")), at.why
    if reason.word == "JobLaunchFailure":
        how = End.NOT_LAUNCHED
    elif how is End.FAILED and not reason.starts and reason.word != "SystemFailure":
        # Its 0:1 is not the script's: it never began.
        how, why = End.IMPOSSIBLE, reason.text
    if signal == _OUT_OF_MEMORY:
        how, signal = End.OUT_OF_MEMORY, None
    if how not in _OWN_ENDS:
        # Slurm has ended it: its 0:15 is not the script's.
        status, signal = None, None
    return Ended(how, status, signal or None, ended_at, why="" if how is End.OUT_OF_MEMORY else why)


def _time(seconds: int) -> str:
    """Slurm counts whole minutes."""
    minutes = -(-seconds // 60)
    return f"{minutes // 1440}-{minutes // 60 % 24:02}:{minutes % 60:02}:00"


def _seconds(text: str) -> float | None:
    """A time limit, of which the days, the hours and the minutes may be missing."""
    if (minutes := number(text)) is not None:
        return minutes * 60.0
    match = _LIMIT.fullmatch(text)
    if match is None:
        return None
    days, hours, rest, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + rest) * 60.0 + seconds


def _nodes(nodes: str, host: str) -> tuple[str, ...]:
    """The host that runs the script; of several nodes the list has no single names."""
    single = "" if "[" in nodes or "," in nodes else nodes
    names = (sanitize.exact(name) for name in (host, single) if name not in _NONE)
    return tuple(dict.fromkeys(filter(None, names)))


def _record(line: str, job: JobId) -> Mapping[str, str] | None:
    """The line of `scontrol -o show job`, or of sacct in the same words."""
    if line.startswith("sacct|"):
        names = ("JobState", "ExitCode", "StartTime", "EndTime", "SubmitTime", "Partition")
        parts = line.split("|", 7)
        return {**dict(zip(names, parts[1:], strict=False)), "JobName": parts[-1]}
    fields: dict[str, str] = {}
    for key, value in _fields(line):
        fields.setdefault(key, value)
    return fields if fields.get("JobId") == job else None


def _fields(line: str) -> Iterator[tuple[str, str]]:
    starts = list(_FIELD.finditer(line))
    ends = [match.start() for match in starts[1:]] + [len(line)]
    for match, end in zip(starts, ends, strict=False):
        yield match[1], line[match.end() : end]
