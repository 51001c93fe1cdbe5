"""What went wrong, in words for people: a title, then what to do."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from trayconnect import sanitize


class Remedy(enum.Enum):
    """What can make a problem go away; decides where a session goes after it."""

    WAIT = "wait"
    """Trying again later may help: a server that is down, a lost network."""
    NETWORK = "network"
    """Another network may help: what answered was not proven to be the server, and no login was
    sent. Tried again when the network changes, after sleep, and slowly in between."""
    USER = "user"
    """Only the user can go on: a login was refused, a host key must be judged. Never retried."""
    FIX = "fix"
    """Something must be changed first: the file, the server, a port. Tried again when the network
    changes and after sleep, and never by the clock."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that went wrong.

    `title` is a short sentence that names the thing (no final full stop), `advice` says what to
    do about it, `detail` is the technical text for logs and diagnostics; none holds a secret.
    """

    title: str
    advice: str
    remedy: Remedy = Remedy.FIX
    detail: str = ""
    wait: float = 0.0
    """Seconds: an earlier retry cannot help."""

    def __post_init__(self) -> None:
        # What a server says is cleaned where it comes in; this is the last line of defence.
        object.__setattr__(self, "title", sanitize.unarmed(self.title).replace("\n", " "))
        object.__setattr__(self, "advice", sanitize.unarmed(self.advice))
        object.__setattr__(self, "detail", sanitize.unarmed(self.detail))

    def __str__(self) -> str:
        return f"{self.title}. {self.advice}" if self.advice else self.title


def unforeseen(error: Exception) -> Problem:
    """A defect of ours, told to people; the log is to have the traceback."""
    return Problem(
        "Something unforeseen went wrong",
        "This is a defect of trayconnect; its log tells more",
        Remedy.FIX,
        f"{type(error).__name__}: {error}",
    )


class ProblemError(Exception):
    """Carries a `Problem` up to whoever can show it. The cause, if any, is `__cause__`."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Cancelled(Exception):  # noqa: N818 - a request of the user, not an error
    """The user stopped what was going on; nothing is to be reported."""
