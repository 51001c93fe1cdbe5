"""A job of the cluster's scheduler, as data. Pure.

All times are seconds since the epoch by the clock of this computer: a scheduler's file says how old
or how far away a moment is by the cluster's clock, and the laptop's may differ, in its zone too."""

from __future__ import annotations

import enum
import hashlib
import re
from dataclasses import dataclass

from trayconnect.config.model import name_key

PREFIX = "trayconnect-"
"""Begins the names of our jobs. Every user of the cluster may read a job's name."""

JobId = str
"""As the scheduler prints it: digits, and nothing else."""

is_job_id = re.compile(r"[0-9]{1,18}").fullmatch
"""Whether a text may be given to a scheduler's command as a job's number."""


def job_name(server: str) -> str:
    """The name of the jobs of an entry: the same on every computer whose file has an entry of that
    name, and no more than a hash for the others who read it."""
    return PREFIX + hashlib.sha256(name_key(server).encode()).hexdigest()[:8]


class Phase(enum.Enum):
    """Where a job is in its life, whatever the scheduler calls it."""

    QUEUED = "queued"
    RUNNING = "running"
    ENDING = "ending"
    """It was told to end, and its processes may still run."""
    ENDED = "ended"


class End(enum.Enum):
    """How a job ended."""

    COMPLETED = "completed"
    """Its Jupyter ended regularly, as by File > Shut Down."""
    FAILED = "failed"
    """By itself, with an exit status or a signal."""
    NOT_LAUNCHED = "not_launched"
    """The node could not begin it."""
    IMPOSSIBLE = "impossible"
    """It asked for what the cluster does not have; it never began."""
    CANCELLED = "cancelled"
    TIME_LIMIT = "time_limit"
    OUT_OF_MEMORY = "out_of_memory"
    NODE_FAILED = "node_failed"
    UNKNOWN = "unknown"
    """The scheduler has forgotten it, and it has left no exit status."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a queued job waits."""

    word: str
    """The scheduler's own, such as QOSMaxJobsPerUserLimit."""
    text: str
    """The same for people: "you have as many jobs as your account may run at once"."""
    starts: bool = True
    """Whether it will start without a change. False: as asked, it never will."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a job ended. `status` and `signal`: of its script, as far as known."""

    how: End
    status: int | None = None
    signal: int | None = None
    at: float | None = None
    log: str = ""
    """The end of the log of its Jupyter, without a token."""
    why: str = ""
    """More exactly than `how`, for people: "another job took its place"."""
    by_user: bool = False
    """Whether the user has ended it from here."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job of the account, as the scheduler lists it."""

    id: JobId
    name: str
    phase: Phase
    partition: str = ""
    """The partition, or the queue."""
    submitted: float | None = None
    reason: Reason | None = None
    """Why it waits, while queued."""
    place: int | None = None
    """Its place in the queue, while queued: 1 is next. None: unknown."""
    note: str = ""
    """What is unusual while it runs or ends, for people: "suspended by the cluster"."""
    starts: float | None = None
    """When it started; while queued, the scheduler's estimate. None: it has none."""
    ends: float | None = None
    """When its time is over. The scheduler may let it run a minute longer."""
    limit: float | None = None
    """Its time limit, in seconds; None: unlimited or unknown."""
    nodes: tuple[str, ...] = ()
    """Where its script runs, by the names and addresses under which the login node may reach it,
    the likeliest first; empty while queued."""
    has_jupyter: bool = False
    """Whether a runtime file in the account's home names its node, or its own name tells. Of a job
    of another program only; one of ours has `JobFiles`."""
    ended: Ended | None = None

    @property
    def is_ours(self) -> bool:
        """Whether trayconnect submitted it, from whatever computer."""
        return self.name.startswith(PREFIX)

    @property
    def is_live(self) -> bool:
        """Whether it waits or runs."""
        return self.phase in (Phase.QUEUED, Phase.RUNNING)

    @property
    def node(self) -> str:
        """The node's name, for people; empty while queued."""
        return self.nodes[0] if self.nodes else ""

    def is_of(self, server: str) -> bool:
        """Whether it is one of that entry's."""
        return self.name == job_name(server)


@dataclass(frozen=True, slots=True)
class JobFiles:
    """What a job of ours has written into its folder in the account's home (see `job.sh`). What is
    not written yet is empty or None."""

    job: JobId
    names: tuple[str, ...] = ()
    """Of its node, and addresses: first `uname -n`, then those that others may know it by."""
    socket: str = ""
    """The path of the UNIX socket that its Jupyter listens on, on the node."""
    pid: int | None = None
    """Of its Jupyter, on the node."""
    born: str = ""
    """See `RunningServer.born`."""
    host_keys: tuple[str, ...] = ()
    """The public host keys of the node's SSH server, as in its .pub files: the job read them
    there."""
    status: int | None = None
    """The exit status of its Jupyter."""
    told: str = ""
    """What told the job to end: a signal such as TERM, `limit`, or `memory`; empty if Jupyter ended
    by itself."""
    at: float | None = None
    """When it ended."""
    log: str = ""
    """The end of its log, without a token."""

    @property
    def node(self) -> str:
        """`uname -n` of its node; empty before it begins."""
        return self.names[0] if self.names else ""


@dataclass(frozen=True, slots=True)
class JobsSeen:
    """The answer to one query. A job that it does not list has ended, or never was: a scheduler
    that did not answer is an `Unanswered`, never this."""

    jobs: tuple[Job, ...] = ()
    """The account's, in the order of their submission; those that ended a short time ago too."""
    files: tuple[JobFiles, ...] = ()
    """Of the entry's jobs. A running job without files: the home does not show them yet, or the
    nodes have another home."""
    at: float = 0.0

    def job(self, job_id: JobId) -> Job | None:
        return next((job for job in self.jobs if job.id == job_id), None)

    def files_of(self, job_id: JobId) -> JobFiles | None:
        return next((files for files in self.files if files.job == job_id), None)


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The scheduler did not answer. What was known still counts: a job may be running."""

    said: str
    """Its words, for people."""


Answer = JobsSeen | Unanswered
