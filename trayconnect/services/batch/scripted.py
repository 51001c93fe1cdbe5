"""What all schedulers share: the scripts for the login node, and the reading of their reports.
Pure.

A scheduler adds two files: the functions of sh that call its commands, and a class that reads what
these print."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace

from trayconnect.config.batch_options import System
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
from trayconnect.services.batch.scheduler import (
    Refused,
    Request,
    Submission,
    Submitted,
    Trial,
    Unsure,
)
from trayconnect.services.batch.script import finding, login_script, text, with_options
from trayconnect.services.jupyter.node import is_same

_TIMED_OUT = (124, 137)
"""Of `timeout`."""
_NOT_FOUND = 127
_NO_FOLDER = 70
"""See `job.sh`."""
_RETURNED = re.compile(r"@rc ([0-9]{1,3})")


class ScriptedScheduler(ABC):
    """A `Scheduler` whose commands are functions of sh: see `submit.sh`, `query.sh`, `cancel.sh`,
    `trial.sh`."""

    system: System
    title: str
    has_steps: bool
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
    def explain(self, word: str) -> Reason: ...

    def step(self, job: Job, program: str) -> str:
        """Only if `has_steps`."""
        raise NotImplementedError

    @property
    def find(self) -> str:
        """The line of sh that finds its commands."""
        return finding(self.command, self.variables or "NOTHING")

    # --- submit ---

    def submit(self, request: Request) -> str:
        return self._script("submit.sh", request)

    def trial(self, request: Request) -> str:
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
        report = reports.sections(output, "submit 1")
        if report is None:
            return Unsure("the answer of the login node is not complete")
        found = reports.last(report, "found")
        if found is not None and is_job_id(found.value):
            return Submitted(found.value)
        sent, looked = reports.first(report, "sent"), reports.last(report, "looked")
        has_looked = looked is not None and looked.status == 0
        if sent is None:
            return self._silence(looked)
        status, said = _returned(sent)
        job = self.job_of(said)
        if status == 0 and is_job_id(job):
            return Submitted(job)
        problem = self.refusal(said, request) if status not in (0, None, *_TIMED_OUT) else None
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

    def would_start(self, output: str, now: float) -> Trial | Refused | Unsure:
        report = reports.sections(output, "trial 1")
        sent = reports.first(report, "sent") if report is not None else None
        if report is None or sent is None or sent.status in (None, *_TIMED_OUT):
            return Unsure(self._said(sent))
        if sent.status == _NOT_FOUND:
            return Refused(self.not_found())
        trial = self.forecast(sent.lines, reports.clock(report, now))
        if trial is not None:
            return trial
        problem = self.refusal(sent.lines, _ANY)
        return Refused(problem) if problem is not None else Unsure(self._said(sent))

    # --- query ---

    def query(self, name: str, ended: Sequence[JobId] = ()) -> str:
        jobs = " ".join(job for job in ended if is_job_id(job))
        values = {"name": name, "ended": jobs}
        return login_script("query.sh", self._functions(), self.find, values)

    def answer(self, output: str, now: float) -> Answer:
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
        known = {job.id: job for job in jobs}
        for section in report:
            if section.key == "ended" and is_job_id(section.value):
                if self.is_silent(section.lines):
                    return Unanswered(self._said(section))
                job = self.explained(section.value, section.lines, clock)
                before = known.get(section.value)
                if job is not None and (before is None or before.phase is Phase.ENDED):
                    known[section.value] = job
        seen = JobsSeen((), files, now)
        placed = (_placed(job, seen, hosts.lines if hosts else ()) for job in known.values())
        return JobsSeen(tuple(sorted(placed, key=lambda job: int(job.id))), files, now)

    def ended(self, answer: Answer, job: JobId, files: JobFiles | None) -> Ended:
        seen = answer.job(job) if isinstance(answer, JobsSeen) else None
        told = seen.ended if seen is not None else None
        if told is None:
            told = Ended(End.UNKNOWN)
        if files is None:
            if told.status == _NO_FOLDER:
                log = "The job could not write into ~/.local/state/trayconnect on its node."
                return replace(told, log=log)
            return told
        # A job that saves and ends when it is told to has ended by itself for Grid Engine.
        was_told = bool(files.told) and told.how in (End.COMPLETED, End.FAILED)
        if files.status is not None and (told.how is End.UNKNOWN or was_told):
            told = replace(told, how=_how(files))
        return replace(
            told,
            status=told.status if files.status is None else files.status,
            at=told.at if told.at is not None else files.at,
            log=files.log,
        )

    # --- cancel ---

    def cancel(self, job: JobId) -> str:
        assert is_job_id(job)
        return login_script("cancel.sh", self._functions(), self.find, {"number": job})

    def cancelled(self, output: str) -> Problem | None:
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


_ANY = Request("", "", 0, (), "")


def _returned(sent: Section) -> tuple[int | None, tuple[str, ...]]:
    """The exit status of the command that submits, and its output."""
    status = None
    for line in sent.lines:
        if match := _RETURNED.fullmatch(line):
            status = int(match[1])
    return status, tuple(line for line in sent.lines if line and not line.startswith("@rc "))


def _placed(job: Job, seen: JobsSeen, hosts: Iterable[str]) -> Job:
    """With all names of its node, and whether it holds a Jupyter."""
    if job.phase not in (Phase.RUNNING, Phase.ENDING):
        return job
    files = seen.files_of(job.id)
    if job.is_ours:
        names = (*job.nodes[:1], *(files.names if files else ()), *job.nodes[1:])
        return replace(job, nodes=tuple(dict.fromkeys(names)))
    named = any(is_same(host, node) for host in hosts for node in job.nodes[:1])
    return replace(job, has_jupyter=named or "jupyter" in job.name.lower())


def _how(files: JobFiles) -> End:
    """By the job's own files alone: a scheduler that has forgotten it, or that never tells."""
    if files.told == "limit":
        return End.TIME_LIMIT
    if files.told and files.told != "twin":
        return End.CANCELLED
    return End.COMPLETED if files.status == 0 else End.FAILED
