"""The states of a session, and what is known in each."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from trayconnect.config.model import Server
from trayconnect.core.errors import Problem
from trayconnect.core.questions import Question
from trayconnect.ssh.config.configured_forwards import NOTHING, ConfiguredForwards


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
    """One managed tunnel's life. Times are seconds since the epoch."""

    server: Server
    state: State = State.OFF
    since: float = 0.0
    """When it entered its state."""
    attempt: int = 1
    """The attempt that is under way, or the next one: a number is used once."""
    failures: int = 0
    """Failed attempts in a row; sets the length of the next wait."""
    retry_at: float | None = None
    """When the retry is due, while WAITING, and while FAILED where one is."""
    problem: Problem | None = None
    """Why it is not better than it is; the last one stays readable until the next success."""
    remote: tuple[tuple[str, int | Problem], ...] = ()
    """What the server said to the remote forwards of these names, while UP: the port it listens
    on, 0 for a socket; or why it does not."""
    additions: ConfiguredForwards = NOTHING
    """What ssh_config(5) adds to the entry, while it is not OFF."""
    unbound_forwards: tuple[tuple[str, Problem], ...] = ()
    """Those of its forwards that could not be bound, by their names, and why."""
    banner: str = ""
    """What the servers gave to be read at the last login."""
    question: Question | None = None
    """What the attempt under way waits for, while NEEDS_YOU."""
    quiet: bool = False
    """Whether the attempt under way, while CONNECTING, repeats one that FAILED, without the user:
    until more is known it counts as failed."""
    says: str = ""
    """What the way to the server said last, while CONNECTING."""
    typed_login: bool = False
    """Whether a human typed, for the present attempt, what a retry could not reuse; then its end
    waits for a click."""
    restart: bool = False
    """Whether to connect again once CLOSING is over."""
    successor: Server | None = None
    """The entry to go on with once CLOSING is over."""
