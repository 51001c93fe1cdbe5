"""User-facing problems: a title, then what to do."""

from __future__ import annotations

import enum
import errno
import socket
from dataclasses import dataclass

from trayconnect.core import sanitize


class Recovery(enum.Enum):
    """How a problem can be resolved. Decides the session's next state."""

    RETRY = "wait"
    """A later attempt may succeed: the server is down, or the network is lost."""
    NETWORK = "network"
    """Another network may help: the peer was not proven to be the server, and no login was sent.
    Retried when the network changes, after suspend, and every few minutes."""
    USER_ACTION = "user"
    """Only the user can continue: a login was refused, or a host key must be verified. Never
    retried."""
    FIX_FIRST = "fix"
    """Something must be changed first: the file, the server, a port. Retried when the network
    changes and after suspend, never on a timer."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that went wrong.

    `title` is a short sentence that names the thing (no final full stop), `advice` says what to do
    about it, `detail` is the technical text for logs and diagnostics. None of them holds a secret.
    """

    title: str
    advice: str
    recovery: Recovery = Recovery.FIX_FIRST
    detail: str = ""
    wait: float = 0.0
    """Seconds before which a retry cannot succeed."""

    def __post_init__(self) -> None:
        # Text from a server is sanitized where it comes in; this is the last line of defence.
        object.__setattr__(self, "title", sanitize.unarmed(self.title).replace("\n", " "))
        object.__setattr__(self, "advice", sanitize.unarmed(self.advice))
        object.__setattr__(self, "detail", sanitize.unarmed(self.detail))

    def __str__(self) -> str:
        return f"{self.title}. {self.advice}" if self.advice else self.title

    @property
    def logged(self) -> str:
        """As a line of the log, with the detail if there is one."""
        return f"{self} ({self.detail})" if self.detail else str(self)


_SHORT_OF = {
    "EMFILE": "open files",
    "ENFILE": "open files",
    "WSAEMFILE": "open files",
    "EAGAIN": "processes",
    "ENOMEM": "memory",
    "ENOBUFS": "memory",
    "WSAENOBUFS": "memory",
    "ENOSPC": "disk space",
    "EDQUOT": "disk space",
}
_SHORTAGES = {
    number: what for name, what in _SHORT_OF.items() if (number := getattr(errno, name, None))
}
_WINDOWS_SHORTAGES = {4: "open files", 8: "memory", 1450: "memory", 1455: "memory"}
"""Windows' error numbers: ERROR_TOO_MANY_OPEN_FILES, ERROR_NOT_ENOUGH_MEMORY,
ERROR_NO_SYSTEM_RESOURCES, ERROR_COMMITMENT_LIMIT."""


def shortage(error: BaseException | None) -> Problem | None:
    """The problem of a resource that ran out on this computer, if the error or one of its causes
    says so; retrying helps."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        what = _exhausted(error)
        if what is not None:
            return Problem(
                f"This computer has no {what} left for trayconnect",
                "Close programs or tunnels that you do not need, or raise the limit. "
                "Trying again automatically.",
                Recovery.RETRY,
                f"{type(error).__name__}: {error}",
            )
        error = error.__cause__
    return None


def _exhausted(error: BaseException) -> str | None:
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, RuntimeError):
        return "threads" if "can't start new thread" in str(error) else None
    # The error numbers of getaddrinfo are a different set.
    if not isinstance(error, OSError) or isinstance(error, socket.gaierror):
        return None
    what = _WINDOWS_SHORTAGES.get(getattr(error, "winerror", None) or 0)
    return what or _SHORTAGES.get(error.errno or 0)


def problem_of(error: Exception) -> Problem:
    """The problem to show for an error: a resource that ran out, the error's own problem, or a bug
    of ours."""
    short = shortage(error)
    if short is not None:
        return short
    return error.problem if isinstance(error, ProblemError) else unforeseen(error)


def unforeseen(error: Exception) -> Problem:
    """The problem to show for a bug of ours. The caller logs the traceback."""
    short = shortage(error)
    if short is not None:
        return short
    return Problem(
        "Something unexpected went wrong",
        "This is a bug in trayconnect; its log has the details",
        Recovery.FIX_FIRST,
        f"{type(error).__name__}: {error}",
    )


class ProblemError(Exception):
    """Carries a `Problem` up to the code that can show it. The cause, if any, is `__cause__`."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Cancelled(Exception):  # noqa: N818 - a request of the user, not an error
    """The user cancelled the work; there is nothing to report."""
