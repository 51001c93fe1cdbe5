"""A scheduler of batch jobs: scripts for the login node, and the reading of their reports. Pure:
`cluster` runs the scripts.

A scheduler adds a file with the functions of sh that call its commands, a class that reads what
these print, and a line of `schedulers`.

A script is POSIX sh for the standard input of `sh`, so that no value is an argument of a process.
It prints a report between a first line of its own and `@@done`, whatever start-up files print
around that: see `report.sections`. Everything in it ends within the limit of its call: a command of
the scheduler runs under `timeout`, since one that hangs would outlive the login."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from trayconnect.config.batch_options import NO_LINES, Lines, System
from trayconnect.core import sanitize
from trayconnect.core.errors import Problem
from trayconnect.services.batch import report as reports
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
    Unanswered,
    is_job_id,
)
from trayconnect.services.batch.report import Clock, Section, words
from trayconnect.services.batch.script import finding, login_script, text, with_options
from trayconnect.services.jupyter.node import is_same

QUERY_LIMIT = 40.0
"""Seconds for a query: a controller that is down takes 18, and start-up files come first."""
SUBMIT_LIMIT = 60.0
"""Seconds to submit, with the look for a job that an earlier try has left."""
CANCEL_LIMIT = 40.0
PATIENCE = 60
"""Seconds in the queue after which a job's place there is asked: its list may be long."""


@dataclass(frozen=True, slots=True)
class Request:
    """A job to submit."""

    name: str
    """See `job.job_name`."""
    mark: str
    """Identifies this order among all, so that it is found again where an answer got lost. In the
    job's comment, which every user may read."""
    seconds: int
    """The time limit to ask for."""
    options: tuple[str, ...]
    """The user's, in the scheduler's own words. Ours follow them, and so win."""
    script: str
    """What the job runs: see `script.job_script`."""
    takes_any: bool = False
    """Whether a living job of that name will do, which another computer may have just submitted."""
    lines: Lines = NO_LINES
    """Where its options stand in the server file."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The scheduler has taken the job, now or in an earlier try with the same mark."""

    job: JobId


@dataclass(frozen=True, slots=True)
class Refused:
    """The scheduler has refused it for certain, and there is no such job."""

    problem: Problem
    """In the scheduler's own words, with the line of the file to change."""


@dataclass(frozen=True, slots=True)
class Unsure:
    """No answer, or one that says neither: a job may have been submitted. Look for the mark before
    the next try."""

    said: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What the scheduler says of a job that it was not asked to run."""

    at: float | None
    """When it would start, by the clock of this computer; None: it gives no estimate."""
    where: str = ""
    """The nodes and the partition, for people."""


Submission = Submitted | Refused | Unsure

_TIMED_OUT = (124, 137)
"""Of `timeout`."""
_NOT_FOUND = 127
_NO_FOLDER = 70
"""See `job.sh`."""
_NOT_WRITTEN = (
    "The job could not write into ~/.local/state/trayconnect on its node: the disk or your quota "
    "is full, or the home folder is missing there."
)
_MOST_HOSTS = 64
"""See `query.sh`."""
_MOST_OTHERS = 300
"""See `jobs` of each scheduler."""
_NO_MEMORY = re.compile(r"MemoryError|[Cc]annot allocate memory|bad_alloc|[Oo]ut of memory")
_LAST_WORDS = 500
"""The end of a log that may say why Jupyter ended."""
_RETURNED = re.compile(r"@rc ([0-9]{1,3})")


class Scheduler(ABC):
    """Slurm, or another one. Without state; used from any thread. `submit.sh`, `query.sh`,
    `cancel.sh` and `trial.sh` call its functions of sh."""

    system: System
    title: str
    """For people: "Slurm"."""
    has_steps: bool
    """Whether a program can be run inside a running job: see `step`."""
    command: str
    """That submits a job."""
    guard: str
    """An option that changes nothing here."""
    variables: str = ""
    """That its commands need of a login's environment, as an extended regular expression."""

    # --- what a scheduler adds ---

    @abstractmethod
    def ours(self, request: Request) -> Sequence[str]:
        """The options that come after the user's."""

    @abstractmethod
    def job_of(self, lines: Sequence[str]) -> JobId:
        """The number of the job just submitted; empty if it is not told."""

    @abstractmethod
    def refusal(self, lines: Sequence[str], request: Request) -> Problem | None:
        """Why it refused a job, by what its command said; None if that does not say for certain
        that there is no job."""

    @abstractmethod
    def jobs(self, lines: Sequence[str], clock: Clock) -> tuple[Job, ...] | None:
        """Read the list of jobs; None if it is none."""

    @abstractmethod
    def explained(self, job: JobId, lines: Sequence[str], clock: Clock) -> Job | None:
        """Read how a job ended, or that it has not: the list may be older. None if the scheduler
        has forgotten it."""

    def is_silent(self, lines: Sequence[str]) -> bool:  # noqa: ARG002
        """Whether it could not be asked how a job ended."""
        return False

    @abstractmethod
    def forecast(self, lines: Sequence[str], clock: Clock) -> Trial | None:
        """Read when a job would start; None if it was refused."""

    @abstractmethod
    def has_gone(self, said: str) -> bool:
        """Whether the words of a failed cancellation say that there is no such job."""

    @abstractmethod
    def explain(self, word: str) -> Reason:
        """Why a job waits, in words; an unknown reason in its own."""

    def step(self, job: Job, program: str) -> str:
        """The command line that runs `program`, a line for sh, once in a running job, on the first
        of its nodes, with unbuffered standard streams. Only if `has_steps`."""
        raise NotImplementedError

    @property
    def find(self) -> str:
        """The line of sh that finds its commands."""
        return finding(self.command, self.variables or "NOTHING")

    # --- submit ---

    def submit(self, request: Request) -> str:
        """The script that looks for a job with that name and mark, and submits one if there is
        none. The job's script reaches the scheduler on standard input, each option is one quoted
        word, the umask is 077, and the login's environment stays behind."""
        return self._script("submit.sh", request)

    def trial(self, request: Request) -> str:
        """The script that asks when such a job would start, and submits none."""
        return self._script("trial.sh", request)

    def _script(self, name: str, request: Request) -> str:
        # Ours come last, and so win; they come first, too, in case the user's last option takes
        # the next word for its value: then it is the guard.
        ours = self.ours(request)
        options = with_options([*ours, *request.options, self.guard, *ours])
        values = {"name": request.name, "mark": request.mark, "script": request.script}
        values["any"] = "any" if request.takes_any else ""
        return login_script(name, self._functions() + options, self.find, values)

    def _functions(self) -> str:
        return text(f"{self.system}.sh")

    def submission(self, output: str, request: Request) -> Submission:
        """Read the output of `submit`."""
        report = reports.sections(output, "submit 1")
        if report is None:
            return Unsure("the answer of the login node is not complete")
        found, sent = reports.last(report, "found"), reports.first(report, "sent")
        looked = reports.last(report, "looked")
        status, said = _returned(sent) if sent is not None else (None, ())
        problem = self.refusal(said, request) if status not in (0, None, *_TIMED_OUT) else None
        has_looked = looked is not None and looked.status == 0
        number, _, how = found.value.partition(" ") if found is not None else ("", "", "")
        # Slurm keeps a record of some jobs that it has refused.
        if is_job_id(number) and not (problem is not None and how == "over"):
            return Submitted(number)
        if sent is None:
            return self._silence(looked)
        job = self.job_of(said)
        if status == 0 and is_job_id(job):
            return Submitted(job)
        if problem is not None and has_looked:
            return Refused(problem)
        return Unsure(words(said) or f"{self.title} did not answer in time")

    def _silence(self, section: Section | None) -> Unsure | Refused:
        if section is not None and section.status == _NOT_FOUND:
            return Refused(self.not_found())
        return Unsure(self._said(section))

    def _said(self, section: Section | None) -> str:
        said = words(section.lines) if section is not None else ""
        return said or f"{self.title} did not answer in time"

    def not_found(self) -> Problem:
        return Problem(
            f"The login node has no {self.command}",
            f"It is the command of {self.title}. Log in to another host of the cluster, or change "
            "'system' under 'batch' in the server file.",
        )

    def would_start(self, output: str, request: Request, now: float) -> Trial | Refused | Unsure:
        """Read the output of `trial` at `now`, by the clock of this computer."""
        report = reports.sections(output, "trial 1")
        sent = reports.first(report, "sent") if report is not None else None
        if report is None or sent is None or sent.status in (None, *_TIMED_OUT):
            return Unsure(self._said(sent))
        if sent.status == _NOT_FOUND:
            return Refused(self.not_found())
        trial = self.forecast(sent.lines, reports.clock(report, now))
        if trial is not None:
            return trial
        problem = self.refusal(sent.lines, request)
        return Refused(problem) if problem is not None else Unsure(self._said(sent))

    # --- query ---

    def query(self, name: str, ended: Sequence[JobId] = ()) -> str:
        """The script that lists the account's jobs, once and cheaply, with the files of those of
        that name. `ended`: jobs whose end is to be explained too, which costs another command."""
        jobs = " ".join(job for job in ended if is_job_id(job))
        values = {"name": name, "ended": jobs, "patience": str(PATIENCE)}
        return login_script("query.sh", self._functions(), self.find, values)

    def answer(self, output: str, now: float) -> Answer:
        """Read the output of `query` at `now`, by the clock of this computer."""
        report = reports.sections(output, "query 1")
        listed = reports.first(report, "listed") if report is not None else None
        if report is None or listed is None:
            return Unanswered("the answer of the login node is not complete")
        if listed.status == _NOT_FOUND:
            return Unanswered(str(self.not_found()))
        clock = reports.clock(report, now)
        jobs = self.jobs(listed.lines, clock) if listed.status == 0 else None
        if jobs is None:
            return Unanswered(self._said(listed))
        files = reports.job_files(report, clock)
        hosts = reports.first(report, "hosts")
        others = [job for job in jobs if not job.is_ours][:_MOST_OTHERS]
        known = {job.id: job for job in (*others, *(job for job in jobs if job.is_ours))}
        for section in report:
            if section.key == "ended" and is_job_id(section.value):
                if self.is_silent(section.lines):
                    return Unanswered(self._said(section))
                job = self.explained(section.value, section.lines, clock)
                before = known.get(section.value)
                if job is not None and (before is None or before.phase is Phase.ENDED):
                    known[section.value] = job
        for number, word, rest in reports.places(report):
            job = known.get(number)
            if job is not None and job.phase is Phase.QUEUED:
                known[number] = _waiting(job, word, rest)
        named = hosts.lines[:_MOST_HOSTS] if hosts else ()
        by_job = {one.job: one for one in files}
        placed = (_placed(job, by_job.get(job.id), named) for job in known.values())
        return JobsSeen(tuple(sorted(placed, key=lambda job: int(job.id))), files, now)

    def ended(self, answer: JobsSeen, job: JobId, files: JobFiles | None) -> Ended:
        """How a job ended that a query lists as ended or no longer lists."""
        seen = answer.job(job)
        told = seen.ended if seen is not None else None
        if told is None:
            told = Ended(End.UNKNOWN)
        if told.status == _NO_FOLDER and (files is None or files.status is None):
            return replace(told, log=_NOT_WRITTEN)
        if files is None:
            return told
        # For Grid Engine, a job that saves and ends when told to has ended regularly.
        was_told = bool(files.told) and told.how in (End.COMPLETED, End.FAILED)
        if files.status is not None and (told.how is End.UNKNOWN or was_told):
            told = replace(told, how=_how(files))
        if told.how is End.FAILED and _NO_MEMORY.search(files.log[-_LAST_WORDS:]):
            told = replace(told, how=End.OUT_OF_MEMORY)
        if told.how is End.OUT_OF_MEMORY and files.status == 0:  # Jupyter itself went on
            told = replace(told, why="a program in it ran out of memory")
        return replace(
            told,
            status=told.status if files.status is None else files.status,
            at=told.at if told.at is not None else files.at,
            log=files.log,
        )

    # --- cancel ---

    def cancel(self, job: JobId) -> str:
        """The script that ends one job. One that has ended already is no error."""
        assert is_job_id(job)
        return login_script("cancel.sh", self._functions(), self.find, {"number": job})

    def cancelled(self, output: str) -> Problem | None:
        """Read the output of `cancel`: None if the job was told to end, or had ended."""
        report = reports.sections(output, "cancel 1")
        section = reports.first(report, "cancelled") if report is not None else None
        if section is not None and section.status == 0:
            return None
        said = self._said(section)
        if self.has_gone(said):
            return None
        return Problem(
            f"{self.title} did not end the job: {said}"[:400],
            "It may run on. Try again; trayconnect will notice when it has ended.",
        )


def _returned(sent: Section) -> tuple[int | None, tuple[str, ...]]:
    """The exit status of the command that submits, and its output."""
    status = None
    for line in sent.lines:
        if match := _RETURNED.fullmatch(line):
            status = int(match[1])
    return status, tuple(line for line in sent.lines if line and not line.startswith("@rc "))


def _waiting(job: Job, word: str, rest: str) -> Job:
    """With its place in the queue, or why it will never leave it."""
    if word == "place":
        return replace(job, place=reports.number(rest) or None)
    text = "no queue of the cluster has what it asks for"
    return replace(job, reason=Reason(sanitize.line(rest) or text, text, starts=False))


def _placed(job: Job, files: JobFiles | None, hosts: Iterable[str]) -> Job:
    """With all names of its node, and whether it holds a Jupyter."""
    if job.phase not in (Phase.RUNNING, Phase.ENDING):
        return job
    if job.is_ours:
        names = (*job.nodes[:1], *(files.names if files else ()), *job.nodes[1:])
        return replace(job, nodes=tuple(dict.fromkeys(names)))
    named = any(is_same(host, node) for host in hosts for node in job.nodes[:1])
    return replace(job, has_jupyter=named or "jupyter" in job.name.lower())


def _how(files: JobFiles) -> End:
    """By the job's own files alone: a scheduler that has forgotten it, or that never tells."""
    if files.told in ("limit", "memory"):
        return End.TIME_LIMIT if files.told == "limit" else End.OUT_OF_MEMORY
    if files.told and files.told != "twin":
        return End.CANCELLED
    return End.COMPLETED if files.status == 0 else End.FAILED
