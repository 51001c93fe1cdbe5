"""What the rest of the program may know of a session."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from trayconnect.config.model import SAME_HOST, Server
from trayconnect.core.errors import Problem
from trayconnect.core.page import Page
from trayconnect.core.questions import Question, QuestionKind
from trayconnect.services.jupyter.activity import Activity
from trayconnect.services.model import FoundJupyter, Reached
from trayconnect.services.protocol import ServiceStatus
from trayconnect.sessions.forwards import ForwardState, forward_states
from trayconnect.sessions.state import Session, State


class Cause(enum.Enum):
    """Why a session changed, or may have."""

    ORDER = "order"
    """The user ordered something whose outcome they wait for."""
    WOKE = "woke"
    """The machine slept."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A session at one moment. Times are seconds since the epoch."""

    server: Server
    state: State
    since: float
    attempt: int
    reached: Reached | None
    """How far end-to-end health goes, while UP."""
    page: Page | None
    """What to open, once something answers behind the tunnel."""
    problem: Problem | None
    retry_at: float | None
    asking: bool
    """Whether a question to the user is open."""
    latency: float | None
    """Seconds of the last heartbeat's round trip, while UP."""
    waits_for: str = ""
    """What its login waits for elsewhere, in a line; or what the way to it says meanwhile."""
    starting: bool = False
    """Whether Jupyter is being started there."""
    launcher: str = ""
    """What the Jupyter that was started there runs in: "in the tmux session …"."""
    forwards: tuple[ForwardState, ...] = ()
    """Those beside the one to Jupyter: in the file's order, then those of ssh_config(5)."""
    open_ports: tuple[int, ...] = ()
    """The local ports that other computers can connect to."""
    notes: tuple[str, ...] = ()
    """What ssh_config(5) says of its servers and does not hold here, in lines for people."""
    banner: str = ""
    """What the servers gave to be read at the login."""
    jupyters: tuple[FoundJupyter, ...] = ()
    """The Jupyter servers that run there, while UP."""
    kernels: Activity | None = None
    """What Jupyter's kernels do, while UP and where it tells."""
    looks: int = 0
    """How often it was looked what answers behind the tunnel."""
    looked: bool = True
    """Whether it is known what runs there."""
    hindered: bool = False
    """Whether something must be changed first, such as a server that forbids forwarding, before a
    Jupyter there could be reached."""
    unproven: bool = False
    """Whether nothing tells whose the Jupyter is that the local port leads to, while UP."""
    question: Question | None = None
    """What the attempt under way waits for."""
    page_problem: Problem | None = None
    """Why no page answers: `problem`, unless that is one of a forward beside it."""
    browser_pending: bool = False
    """The user's connect has not led to a page yet."""

    @property
    def name(self) -> str:
        return self.server.name

    @property
    def is_active(self) -> bool:
        """Whether the user wants it connected."""
        return self.state not in (State.OFF, State.CLOSING)

    @property
    def in_use(self) -> FoundJupyter | None:
        """The Jupyter that the local port leads to, if it was found."""
        return next((one for one in self.jupyters if one.in_use), None)

    @property
    def can_stop(self) -> bool:
        """Whether the Jupyter in use can be told to stop."""
        used = self.in_use
        by_process = used is not None and bool(used.pid and used.born)
        return self.page is not None and (by_process or bool(self.page.token))

    @property
    def is_ready(self) -> bool:
        """Whether something answers at the far end: the only green there is."""
        return self.reached is not None and self.reached >= Reached.JUPYTER

    @property
    def can_start(self) -> bool:
        """Whether to offer to start Jupyter: nothing answers, and none of the user's is known to
        run on this very host."""
        up = self.state is State.UP and not self.is_ready and not self.starting
        is_here = not self.server.is_direct and self.server.jupyter.host in SAME_HOST
        return up and is_here and self.looked and not self.hindered


NO_SERVICE = ServiceStatus()


def snapshot(
    session: Session,
    latency: float | None = None,
    services: Sequence[ServiceStatus] = (NO_SERVICE,),
) -> Snapshot:
    """Freeze what is known of a session, and of the services behind its link, now."""
    is_up = session.state is State.UP
    main = services[0]
    seen = main if is_up else ServiceStatus(looked=True)
    pages = {name: state for one in services for name, state in one.pages.items()}
    forwards = forward_states(session, pages if is_up else {})
    page_problem = session.problem or seen.problem
    return Snapshot(
        server=session.server,
        state=State.FAILED if session.quiet else session.state,
        since=session.since,
        attempt=session.attempt,
        reached=seen.reached if is_up else None,
        page=seen.page,
        problem=page_problem
        or next((f.problem for f in forwards if f.problem and not f.is_of_ssh), None),
        retry_at=session.retry_at,
        asking=session.question is not None,
        latency=latency if is_up else None,
        waits_for=_waits_for(session),
        starting=seen.starting,
        launcher=seen.launcher,
        forwards=forwards,
        open_ports=session.server.open_ports(session.additions.forwards),
        notes=session.additions.notes,
        banner=session.banner,
        jupyters=seen.jupyters,
        kernels=seen.kernels,
        looks=main.looks,
        looked=seen.looked,
        hindered=seen.hindered,
        unproven=seen.unproven,
        question=session.question,
        page_problem=page_problem,
        browser_pending=main.browser_pending,
    )


def _waits_for(session: Session) -> str:
    question = session.question
    if question is not None and question.kind is QuestionKind.VISIT:
        return question.title
    return session.says
