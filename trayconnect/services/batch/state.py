"""What is known of the batch jobs of an entry, and what may happen to it. Pure."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from trayconnect.config.model import Server
from trayconnect.core.command import Command
from trayconnect.core.errors import Problem
from trayconnect.core.notices import Notice
from trayconnect.services.batch.job import Answer, Job, JobFiles, JobId, JobsSeen, Phase
from trayconnect.services.batch.reach import Destination, Way
from trayconnect.services.batch.scheduler import Scheduler, Submission

RECENT = 900.0
"""Seconds after the user's click within which the page opens when the job has started."""


class Want(enum.Enum):
    """Which job the user waits for, beyond those that the last answer showed."""

    NOTHING = "nothing"
    ANY = "any"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Order:
    """A job that was ordered, and may have been submitted."""

    mark: str
    before: frozenset[JobId]
    """The entry's jobs at that time."""
    tries: int = 0


@dataclass(frozen=True, slots=True)
class BatchState:
    """What is known of the jobs of an entry. Times are seconds since the epoch."""

    server: Server
    link: int = 0
    """The number of the present link, or of the last one."""
    is_linked: bool = False
    scheduler: Scheduler | None = None
    seen: JobsSeen | None = None
    """The last answer, over whatever link."""
    is_current: bool = False
    """Whether the present link has had an answer."""
    is_asking: bool = False
    asks_again: bool = False
    """Whether the next query is due as soon as the present one is over."""
    asked_at: float = -math.inf
    """When the last query ended."""
    queries: int = 0
    """How many have ended."""
    silent: Problem | None = None
    """Why the last query had no answer."""
    silences: int = 0
    """How many in a row."""
    want: Want = Want.NOTHING
    order: Order | None = None
    is_submitting: bool = False
    refusal: Problem | None = None
    """Why the last order led to no job."""
    expected: Job | None = None
    """A job that was submitted, and that no answer has listed yet."""
    left_at: float = math.inf
    """When the user gave up an order that may still lead to a job."""
    chosen: JobId = ""
    """The user's choice among several."""
    job: Job | None = None
    """The one in use; the last one, if that has ended."""
    files: JobFiles | None = None
    has_moved: bool = False
    """Whether the entry leads to another host since the last answer: a job that is not there may go
    on elsewhere."""
    explaining: JobId = ""
    """The job whose end the next query explains."""
    ending: JobId = ""
    """The job that the user has told to end."""
    ending_since: float = math.inf
    """When the user told it, or it was first seen ending."""
    running_since: float | None = None
    """When the job was first seen running."""
    attempt: int = 0
    """The number of the last attempt to reach the node."""
    is_reaching: bool = False
    way: Way | None = None
    """How the node is reached; None: it is not."""
    was_reached: bool = False
    """Whether the node of this job has been reached."""
    failed: frozenset[Way] = frozenset()
    """The ways that did not last."""
    lost_at: float = -math.inf
    unreached: Problem | None = None
    """Why the last attempt failed."""
    failures: int = 0
    """Failed attempts in a row."""
    reach_at: float = 0.0
    """When the next attempt may begin."""
    clicked_at: float | None = None
    """The user's command for the page, until it opens."""
    shows: bool = False
    """Whether the page opens even where `open_browser` is off."""
    told: frozenset[str] = frozenset()
    """The notices that are sent once for each job."""

    @property
    def is_live(self) -> bool:
        """Whether the job in use has not ended."""
        return self.job is not None and self.job.phase is not Phase.ENDED

    @property
    def next_query(self) -> int:
        """`queries` once a query that begins after now has ended: one may be under way."""
        return self.queries + (2 if self.is_asking else 1)

    @property
    def log(self) -> str:
        """The end of the log of the Jupyter in the job in use, as far as it is known."""
        ended = self.job.ended if self.job is not None else None
        told = ended.log if ended is not None else ""
        return told or (self.files.log if self.files is not None else "")

    @property
    def own_live(self) -> tuple[Job, ...]:
        """The entry's jobs that wait or run, in the order of their submission."""
        return tuple(
            job
            for job in (self.seen.jobs if self.seen else ())
            if job.is_of(self.server.name) and job.is_live
        )

    @property
    def foreign(self) -> tuple[Job, ...]:
        """The user's other jobs in which a Jupyter runs, and those of other entries: this one may
        have had another name."""
        return tuple(
            job
            for job in (self.seen.jobs if self.seen else ())
            if (job.has_jupyter and job.phase is Phase.RUNNING)
            or (job.is_ours and not job.is_of(self.server.name) and job.is_live)
        )

    @property
    def has_any(self) -> bool:
        """Whether there is a job that need not be submitted: one that is not ending."""
        if self.own_live or self.expected is not None:
            return True
        return self.job is not None and self.job.is_live

    def is_waited_for(self, now: float) -> bool:
        """Whether the page opens when the job starts now."""
        return self.clicked_at is not None and now - self.clicked_at < RECENT


@dataclass(frozen=True, slots=True)
class LinkUp: ...


@dataclass(frozen=True, slots=True)
class LinkDown: ...


@dataclass(frozen=True, slots=True)
class EntryChanged:
    server: Server


@dataclass(frozen=True, slots=True)
class Dropped:
    """The entry is gone, or has become one of another kind."""


@dataclass(frozen=True, slots=True)
class CheckAgain:
    """Something may have changed."""


@dataclass(frozen=True, slots=True)
class Due:
    """The time of `next_due` has come."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The user has chosen that job."""

    job: JobId


@dataclass(frozen=True, slots=True)
class ToldToEnd:
    """The user has told that job to end."""

    job: JobId


@dataclass(frozen=True, slots=True)
class Finding:
    """A result of a thread that worked over the link of that number."""

    link: int


@dataclass(frozen=True, slots=True)
class Answered(Finding):
    answer: Answer
    scheduler: Scheduler


@dataclass(frozen=True, slots=True)
class NotAsked(Finding):
    """The scheduler could not be asked."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Ordered(Finding):
    submission: Submission


@dataclass(frozen=True, slots=True)
class Reached:
    attempt: int
    way: Way


@dataclass(frozen=True, slots=True)
class NotReached:
    attempt: int
    problem: Problem


@dataclass(frozen=True, slots=True)
class NodeLost:
    attempt: int


Event = (
    Command
    | LinkUp
    | LinkDown
    | EntryChanged
    | Dropped
    | CheckAgain
    | Due
    | Chosen
    | ToldToEnd
    | Finding
    | Reached
    | NotReached
    | NodeLost
)


@dataclass(frozen=True, slots=True)
class Query:
    """Ask the scheduler, then report `Answered` or `NotAsked`."""

    ended: tuple[JobId, ...] = ()


@dataclass(frozen=True, slots=True)
class Submit:
    """Submit a job, then report `Ordered`."""

    mark: str
    takes_any: bool = False
    """Whether another living job of the entry will do."""


@dataclass(frozen=True, slots=True)
class Open:
    """Reach the node, then report `Reached` or `NotReached`."""

    attempt: int
    to: Destination
    failed: frozenset[Way]


@dataclass(frozen=True, slots=True)
class Leave:
    """Give up the node: close its link, or end the attempt to reach it."""


@dataclass(frozen=True, slots=True)
class ToJupyter:
    """For the service of the Jupyter in the job."""

    command: Command


@dataclass(frozen=True, slots=True)
class Tell:
    notice: Notice


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The notices about the job no longer hold."""


Effect = Query | Submit | Open | Leave | ToJupyter | Tell | Withdraw
Outcome = tuple[BatchState, tuple[Effect, ...]]
