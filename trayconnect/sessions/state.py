"""The states of a session, the events that change it, and the effects that the machine asks for.

A report carries the number of its attempt, so that a late thread cannot change a later attempt. An
effect is carried out once; its outcome comes back as a report.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from trayconnect.config.model import Server
from trayconnect.core.errors import Problem, Recovery
from trayconnect.core.questions import Answer, Question


class State(enum.Enum):
    OFF = "off"
    CONNECTING = "connecting"
    UP = "up"
    WAITING = "waiting"
    """A retry is due."""
    NEEDS_YOU = "needs_you"
    """A login or a trust decision that only the user can make."""
    CLOSING = "closing"
    FAILED = "failed"
    """Retrying soon cannot help. A network change and the end of sleep try again, and where the
    recovery is another network, the clock too, slowly."""


@dataclass(frozen=True, slots=True)
class Session:
    """The life of one server's link. Times are seconds since the epoch."""

    server: Server
    state: State = State.OFF
    since: float = 0.0
    """When it entered its state."""
    attempt: int = 1
    """The number of the present attempt, or of the next one. A number is used once."""
    failures: int = 0
    """Failed attempts in a row; sets the length of the next wait."""
    retry_at: float | None = None
    """When the retry is due, while WAITING, and while FAILED if the clock tries again."""
    problem: Problem | None = None
    """The last problem; stays readable during retries, until one succeeds."""
    question: Question | None = None
    """The open question, while NEEDS_YOU."""
    typed_login: bool = False
    """Whether a human typed, for the present attempt, what a retry could not reuse."""
    restart: bool = False
    """Whether to connect again after CLOSING."""
    successor: Server | None = None
    """The entry to go on with after CLOSING."""

    @property
    def retries_quietly(self) -> bool:
        """Whether the present attempt repeats a FAILED one without an order of the user. It counts
        as failed until its outcome is known."""
        problem = self.problem
        is_quiet = problem is not None and problem.recovery is not Recovery.RETRY
        return is_quiet and self.state is State.CONNECTING


# --- events -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connect:
    """The user wants the link."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The user no longer wants the link."""


@dataclass(frozen=True, slots=True)
class Restart:
    """The user wants a new link in place of this one."""


@dataclass(frozen=True, slots=True)
class NetworkChanged:
    """The machine has other addresses or routes than before, or is awake again after sleep."""


@dataclass(frozen=True, slots=True)
class ConfigChanged:
    """The file has a new entry of this name."""

    server: Server


@dataclass(frozen=True, slots=True)
class Report:
    """Something about the attempt of that number."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Connected(Report):
    """Logged in. `typed_login`: a human typed something that a retry could not reuse."""

    typed_login: bool = False


@dataclass(frozen=True, slots=True)
class Failed(Report):
    """The attempt failed, or its live link was lost."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Asked(Report):
    """The attempt waits for the user's answer."""

    question: Question


@dataclass(frozen=True, slots=True)
class Answered(Report):
    """None: the user declined."""

    answer: Answer | None


@dataclass(frozen=True, slots=True)
class RetryDue(Report):
    """The wait before that attempt is over."""


@dataclass(frozen=True, slots=True)
class Closed(Report):
    """No listener, link or thread is left."""


Event = Connect | Disconnect | Restart | NetworkChanged | ConfigChanged | Report

# --- effects ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Open:
    """Bind the listeners if they are not bound yet, and connect."""

    attempt: int
    server: Server


@dataclass(frozen=True, slots=True)
class Drop:
    """End the link. The listeners stay bound and hold new connections for a while."""


@dataclass(frozen=True, slots=True)
class Close:
    """End everything, then report `Closed(attempt)`."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop what is kept in memory to log in again without the user."""

    server: Server


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Report `RetryDue(attempt)` in so many seconds."""

    attempt: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Check:
    """Send the server a keepalive request now."""


Effect = Open | Drop | Close | Forget | RetryAfter | Check
