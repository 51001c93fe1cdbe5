"""What the rest of the program may know of the forwards of a session. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from trayconnect.config.forward_syntax import Kind
from trayconnect.config.local_addresses import url_path
from trayconnect.config.model import Forward, Server
from trayconnect.core.endpoints import Endpoint, TcpEndpoint
from trayconnect.core.errors import Problem
from trayconnect.services.model import ANSWERING, PageState
from trayconnect.sessions.state import Session, State

NO_PAGES: Mapping[str, PageState] = {}


@dataclass(frozen=True, slots=True)
class ForwardState:
    """One forward at one moment."""

    name: str
    kind: Kind
    listens: str
    """Where, in words: "localhost:6006", "localhost:1080 (SOCKS)", "/run/x.sock"; for a remote
    forward "localhost:9000 at the server", "gpu.example.org:9000"."""
    leads_to: str
    """Where, in words; empty for a dynamic one, whose clients say."""
    address: str
    """What to give to a program that is to use it: "http://127.0.0.1:6006/" where there is a page
    to open, "socks5h://127.0.0.1:1080", "127.0.0.1:5432", or a path. That of a remote forward is
    for programs on the server, and empty until the server has chosen its port."""
    url: str | None
    """The page to open in the browser, where the file says that there is one: at a host of its
    own, for the sake of its cookies."""
    is_up: bool
    """Whether it carries connections now. What listens here does so, and holds them, while the
    tunnel reconnects."""
    problem: Problem | None = None
    """Why it does not listen, while the tunnel is up."""
    is_of_ssh: bool = False
    """Whether only ssh_config(5) names it: ssh would just warn where it fails."""
    answers: bool | None = None
    """Whether its page does; None where the file does not say what to ask for."""
    page: PageState | None = None
    """What its page does, once that is known."""


def forward_states(
    session: Session, pages: Mapping[str, PageState] = NO_PAGES
) -> tuple[ForwardState, ...]:
    """All forwards of a session: those of the file, in its order, then those of ssh_config(5).
    `pages` is what the pages of forwards do, by the names of these."""
    return (
        *(_state(forward, session, pages) for forward in session.server.forwards),
        *(
            replace(_state(forward, session, pages), is_of_ssh=True)
            for forward in session.additions.forwards
        ),
    )


def _state(forward: Forward, session: Session, pages: Mapping[str, PageState]) -> ForwardState:
    if forward.kind is Kind.REMOTE:
        return _remote(forward, session.server, dict(session.remote).get(forward.name))
    problem = dict(session.unbound_forwards).get(forward.name)
    is_up = session.state is State.UP and problem is None
    return replace(_local(forward, session, pages.get(forward.name), is_up=is_up), problem=problem)


def _local(
    forward: Forward, session: Session, page: PageState | None, *, is_up: bool
) -> ForwardState:
    bind_address = session.server.bind_address
    where = forward.listens(bind_address)
    listens, address = str(where), str(forward.near(bind_address))
    url = None
    if forward.kind is Kind.DYNAMIC:
        listens = f"{listens} (SOCKS)"
        if isinstance(where, TcpEndpoint):
            address = f"socks5h://{address}"
    elif forward.open:
        path = url_path(forward.path)
        address = f"http://{address}{path}"
        url = f"http://{forward.authority(bind_address)}{path}"
    return ForwardState(
        name=forward.name,
        kind=forward.kind,
        listens=listens,
        leads_to=_words(forward.leads_to),
        address=address,
        url=url,
        is_up=is_up,
        answers=None if forward.ready is None else page in ANSWERING,
        page=page,
    )


def _remote(forward: Forward, server: Server, answer: int | Problem | None) -> ForwardState:
    where = forward.listens(server.bind_address)
    if isinstance(where, TcpEndpoint):
        port = where.port or (answer if isinstance(answer, int) else 0)
        where = TcpEndpoint(where.host or server.host or "", port)
    return ForwardState(
        name=forward.name,
        kind=forward.kind,
        listens=_at_the_server(where, server),
        leads_to=_words(forward.leads_to),
        address="" if isinstance(where, TcpEndpoint) and not where.port else str(where),
        url=None,
        is_up=isinstance(answer, int),
        problem=answer if isinstance(answer, Problem) else None,
    )


def _at_the_server(where: Endpoint, server: Server) -> str:
    if isinstance(where, TcpEndpoint):
        if not where.port:
            return "a port of the server's choice"
        if where.host == server.host:
            return str(where)
    return f"{where} at the server"


def _words(where: Endpoint | None) -> str:
    return "" if where is None else str(where)
