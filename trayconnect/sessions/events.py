"""What happens to a session, the life of an SSH link.

Reports carry the number of the attempt they speak of, so that a late thread cannot touch the
present one.
"""

from __future__ import annotations

from dataclasses import dataclass

from trayconnect.config.model import Server
from trayconnect.core.errors import Problem
from trayconnect.core.questions import Answer, Question
from trayconnect.ssh.config.configured_forwards import ConfiguredForwards


@dataclass(frozen=True, slots=True)
class Connect:
    """The user wants it connected."""


@dataclass(frozen=True, slots=True)
class DisconnectRequested:
    """The user wants it disconnected."""


@dataclass(frozen=True, slots=True)
class Restart:
    """The user wants a new tunnel in the place of this one; no page opens for it."""


@dataclass(frozen=True, slots=True)
class NetworkChanged:
    """The machine has other addresses or routes than before, or slept and is awake again."""


@dataclass(frozen=True, slots=True)
class ConfigChanged:
    """The file has a new entry of this name."""

    server: Server


@dataclass(frozen=True, slots=True)
class Report:
    """Something about the attempt of that number."""

    attempt: int


@dataclass(frozen=True, slots=True)
class ForwardsBound(Report):
    """The listeners are bound: once after each Start. `additions` are those of ssh_config(5);
    `unbound_forwards` names those of their forwards that could not be bound, and says why."""

    additions: ConfiguredForwards
    unbound_forwards: tuple[tuple[str, Problem], ...] = ()


@dataclass(frozen=True, slots=True)
class Connected(Report):
    """Logged in. `typed_login`: a human typed something that a retry could not reuse; `banner` is
    what the servers gave to be read."""

    typed_login: bool = False
    banner: str = ""


@dataclass(frozen=True, slots=True)
class ConnectFailed(Report):
    problem: Problem


@dataclass(frozen=True, slots=True)
class Lost(Report):
    """A live tunnel died by itself."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Asked(Report):
    """The attempt waits for the user's answer."""

    question: Question


@dataclass(frozen=True, slots=True)
class ProgressChanged(Report):
    """What the way to the server says while the attempt waits for it."""

    text: str


@dataclass(frozen=True, slots=True)
class Answered(Report):
    """None: the user declined."""

    answer: Answer | None


@dataclass(frozen=True, slots=True)
class RemoteAnswered(Report):
    """What the server says to the remote forward of that name."""

    name: str
    answer: int | Problem
    """The port that it listens on, 0 for a socket; or why it does not."""


@dataclass(frozen=True, slots=True)
class RetryDue(Report):
    """The wait before that attempt is over."""


@dataclass(frozen=True, slots=True)
class Closed(Report):
    """Nothing is left of it: no listener, tunnel or thread."""


Event = Connect | DisconnectRequested | Restart | NetworkChanged | ConfigChanged | Report
