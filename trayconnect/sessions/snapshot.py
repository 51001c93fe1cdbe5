"""A session as the rest of the program sees it: frozen, with the services behind its link. Pure."""

from __future__ import annotations

import enum
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from trayconnect.config.model import Server
from trayconnect.core.errors import Problem
from trayconnect.core.link import Traffic
from trayconnect.core.page import Page
from trayconnect.core.questions import Question, QuestionKind
from trayconnect.services.protocol import Level, ServiceStatus
from trayconnect.sessions.forwards import NO_LINK, ForwardState, LinkInfo, forward_states
from trayconnect.sessions.state import Session, State

NO_SERVICE = ServiceStatus()


class Cause(enum.Enum):
    """Why a session may have changed."""

    ORDER = "order"
    """An order of the user, who waits for its outcome."""
    WOKE = "woke"
    """The machine is awake again after sleep."""
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
    traffic: Traffic | None = field(default=None, compare=False)
    """What the forwards' connections have moved since the login, while UP. Not a change."""
    service: ServiceStatus = NO_SERVICE
    """The first service of the entry."""
    waits_for: str = ""
    """What the login waits for, in a line."""
    forwards: tuple[ForwardState, ...] = ()
    """All but the one to Jupyter: in the file's order, then those of ssh_config(5)."""
    open_ports: tuple[int, ...] = ()
    """The local ports that other computers can connect to."""
    notes: tuple[str, ...] = ()
    """The settings of ssh_config(5) that have no effect here, one line each, for people."""
    banner: str = ""
    """What the servers gave to be read at the login."""
    question: Question | None = None
    """The question that is open."""

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
        """The page to open, once it answers."""
        return self.service.page

    @property
    def is_ready(self) -> bool:
        """Whether the page answers: only then is the icon green."""
        return self.level is not None and self.level >= Level.READY

    @property
    def page_problem(self) -> Problem | None:
        """Why the page does not answer: `problem`, unless that concerns another forward."""
        return self.service.problem if self.state is State.UP else self.problem


def snapshot(
    session: Session,
    link: LinkInfo = NO_LINK,
    services: Sequence[ServiceStatus] = (NO_SERVICE,),
) -> Snapshot:
    """Freeze a session, with its link and the services behind it."""
    server, state = session.server, session.state
    main = services[0]
    pages = {name: page for service in services for name, page in service.pages.items()}
    forwards = forward_states(server, state, link, pages)
    return Snapshot(
        server=server,
        state=State.FAILED if session.retries_quietly else state,
        since=session.since,
        attempt=session.attempt,
        problem=session.problem
        or main.problem
        or next((f.problem for f in forwards if f.problem and not f.is_of_ssh), None),
        retry_at=session.retry_at,
        asking=session.question is not None,
        latency=link.latency if state is State.UP else None,
        traffic=link.traffic if state is State.UP and server.url is None else None,
        service=main,
        waits_for=_waits_for(session, link),
        forwards=forwards,
        open_ports=server.open_ports(link.additions.forwards),
        notes=link.additions.notes,
        banner=link.banner,
        question=session.question,
    )


def _waits_for(session: Session, link: LinkInfo) -> str:
    question = session.question
    if question is not None:
        return question.title if question.kind is QuestionKind.VISIT else ""
    return link.progress if session.state is State.CONNECTING else ""


def state_words(snapshot: Snapshot) -> str:
    """The state for people: the same in the menu, the window, `status` and the demo."""
    match snapshot.state:
        case State.OFF:
            return "off"
        case State.CONNECTING:
            return "connecting…"
        case State.UP:
            return snapshot.service.state_text
        case State.WAITING:
            return f"retrying at {_clock(snapshot.retry_at or snapshot.since)}"
        case State.NEEDS_YOU if snapshot.asking:
            return "waiting for your answer"
        case State.NEEDS_YOU:
            return "needs you"
        case State.CLOSING:
            return "disconnecting…"
        case State.FAILED if snapshot.retry_at is not None:
            return f"failed, retrying at {_clock(snapshot.retry_at)}"
        case State.FAILED:
            return "failed"


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))
