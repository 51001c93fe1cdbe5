"""A scheduler of batch jobs, as a protocol: scripts for the login node, and the parsing of their
output. Pure: `cluster` runs the scripts. A scheduler is one file that has these, and a line of
`schedulers`.

A script is POSIX sh for the standard input of `sh`, so that no value is an argument of a process.
It prints a report between a first line of its own and `@@done`, whatever start-up files print
around that: see `discovery.run`. Everything in it ends within the limit of its call: a command of
the scheduler runs under `timeout`, since one that hangs would outlive the login."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from trayconnect.config.batch_options import System
from trayconnect.core.errors import Problem
from trayconnect.services.batch.job import Answer, Ended, Job, JobFiles, JobId, Reason

QUERY_LIMIT = 40.0
"""Seconds for a query: a controller that is down takes 18, and start-up files come first."""
SUBMIT_LIMIT = 60.0
"""Seconds to submit, with the look for a job that an earlier try has left."""
CANCEL_LIMIT = 40.0


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


class Scheduler(Protocol):
    """Slurm, or another one. Without state; used from any thread."""

    system: System
    title: str
    """For people: "Slurm"."""
    has_steps: bool
    """Whether a program can be run inside a running job: see `step`."""

    # --- submit ---

    def submit(self, request: Request) -> str:
        """The script that looks for a job with that name and mark, and submits one if there is
        none. The job's script reaches the scheduler on standard input, each option is one quoted
        word, the umask is 077, and the login's environment stays behind."""
        ...

    def submission(self, output: str, request: Request) -> Submission:
        """Read its output."""
        ...

    def trial(self, request: Request) -> str:
        """The script that asks when such a job would start, and submits none."""
        ...

    def would_start(self, output: str, now: float) -> Trial | Refused | Unsure:
        """Read its output."""
        ...

    # --- query ---

    def query(self, name: str, ended: Sequence[JobId] = ()) -> str:
        """The script that lists the account's jobs, once and cheaply, with the files of those of
        that name. `ended`: jobs whose end is to be explained too, which costs another command."""
        ...

    def answer(self, output: str, now: float) -> Answer:
        """Read its output at `now`, by the clock of this computer."""
        ...

    # --- cancel ---

    def cancel(self, job: JobId) -> str:
        """The script that ends one job. One that has ended already is no error."""
        ...

    def cancelled(self, output: str) -> Problem | None:
        """Read its output: None if it was told to end, or had ended."""
        ...

    # --- words ---

    def explain(self, word: str) -> Reason:
        """Why a job waits, in words; an unknown reason in its own."""
        ...

    def ended(self, answer: Answer, job: JobId, files: JobFiles | None) -> Ended:
        """How a job ended that a query lists as ended or no longer lists."""
        ...

    # --- inside a job ---

    def step(self, job: Job, program: str) -> str:
        """The command line that runs `program`, a line for sh, once in a running job, on the first
        of its nodes, with unbuffered standard streams. Only if `has_steps`."""
        ...
