"""The states of a session, and what is known in each."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from trayconnect.config.model import Server
from trayconnect.core.errors import Problem
from trayconnect.core.questions import Question
from trayconnect.services.model import Health, PageState
from trayconnect.sessions.kernel_activity import Run
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
    health: Health | None = None
    """What answers behind the tunnel, while UP and after the first look."""
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
    ready_pages: tuple[tuple[str, PageState], ...] = ()
    """What the forwards' pages did when they were last asked, by their names, while UP."""
    runs: tuple[Run, ...] = ()
    """The kernels that were busy when they were last looked at; kept over a reconnect, during
    which a cell may end."""
    looked_at: float = 0.0
    """When the kernels were last looked at."""
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
    browser_pending: bool = False
    """The user's Start has not led to a page yet."""
    force_open: bool = False
    """The user asked for the page: it opens once it answers, even where `open_browser` is off."""
    looks: int = 0
    """How often it was looked what answers behind the tunnel."""
    is_fresh: bool = False
    """Whether the user has connected, and no Jupyter has answered or been started since."""
    start_pending: bool = False
    """The user's order to start Jupyter waits for the tunnel."""
    starting: bool = False
    """Whether Jupyter is being started there, while UP."""
    launcher: str = ""
    """What the Jupyter that was started there runs in, in words, while UP."""
    looks_at_start: int = 0
    """`looks` when it had been started."""
    restart: bool = False
    """Whether to connect again once CLOSING is over."""
    successor: Server | None = None
    """The entry to go on with once CLOSING is over."""
