"""What the rest of the program may know of a session."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from trayconnect.config.model import Server
from trayconnect.core.errors import Problem
from trayconnect.core.page import Page
from trayconnect.core.questions import Question, QuestionKind
from trayconnect.services.model import Level
from trayconnect.services.protocol import ServiceStatus
from trayconnect.sessions.forwards import ForwardState, forward_states
from trayconnect.sessions.state import Session, State

NO_SERVICE = ServiceStatus()


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
    problem: Problem | None
    retry_at: float | None
    asking: bool
    """Whether a question to the user is open."""
    latency: float | None
    """Seconds of the last heartbeat's round trip, while UP."""
    service: ServiceStatus = NO_SERVICE
    """What the entry is for."""
    waits_for: str = ""
    """What its login waits for elsewhere, in a line; or what the way to it says meanwhile."""
    forwards: tuple[ForwardState, ...] = ()
    """Those beside the one to Jupyter: in the file's order, then those of ssh_config(5)."""
    open_ports: tuple[int, ...] = ()
    """The local ports that other computers can connect to."""
    notes: tuple[str, ...] = ()
    """What ssh_config(5) says of its servers and does not hold here, in lines for people."""
    banner: str = ""
    """What the servers gave to be read at the login."""
    question: Question | None = None
    """What the attempt under way waits for."""

    @property
    def name(self) -> str:
        return self.server.name

    @property
    def is_active(self) -> bool:
        """Whether the user wants it connected."""
        return self.state not in (State.OFF, State.CLOSING)

    @property
    def level(self) -> Level | None:
        """How far end-to-end health goes, while UP."""
        return self.service.level if self.state is State.UP else None

    @property
    def page(self) -> Page | None:
        """What to open, once something answers behind the link."""
        return self.service.page

    @property
    def is_ready(self) -> bool:
        """Whether something answers at the far end: the only green there is."""
        return self.level is not None and self.level >= Level.READY

    @property
    def page_problem(self) -> Problem | None:
        """Why no page answers: `problem`, unless that is one of a forward beside it."""
        return self.service.problem if self.state is State.UP else self.problem


def snapshot(
    session: Session,
    latency: float | None = None,
    services: Sequence[ServiceStatus] = (NO_SERVICE,),
) -> Snapshot:
    """Freeze what is known of a session, and of the services behind its link, now."""
    is_up = session.state is State.UP
    main = services[0]
    pages = {name: state for one in services for name, state in one.pages.items()}
    forwards = forward_states(session, pages)
    return Snapshot(
        server=session.server,
        state=State.FAILED if session.quiet else session.state,
        since=session.since,
        attempt=session.attempt,
        problem=session.problem
        or main.problem
        or next((f.problem for f in forwards if f.problem and not f.is_of_ssh), None),
        retry_at=session.retry_at,
        asking=session.question is not None,
        latency=latency if is_up else None,
        service=main,
        waits_for=_waits_for(session),
        forwards=forwards,
        open_ports=session.server.open_ports(session.additions.forwards),
        notes=session.additions.notes,
        banner=session.banner,
        question=session.question,
    )


def _waits_for(session: Session) -> str:
    question = session.question
    if question is not None and question.kind is QuestionKind.VISIT:
        return question.title
    return session.says
