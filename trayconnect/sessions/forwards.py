"""The forwards of a session as they are shown. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from trayconnect.config.forward_model import Forward
from trayconnect.config.forward_syntax import Kind
from trayconnect.config.local_addresses import url_path
from trayconnect.config.model import Server
from trayconnect.core.endpoints import Endpoint, TcpEndpoint
from trayconnect.core.errors import Problem
from trayconnect.core.link import Traffic
from trayconnect.services.protocol import ANSWERING, PageState
from trayconnect.sessions.state import State
from trayconnect.ssh.config.configured_forwards import NOTHING, ConfiguredForwards


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """What is shown of a session's link, and decides nothing."""

    latency: float | None = None
    """Seconds of the last heartbeat's round trip, while there is a link."""
    traffic: Traffic | None = None
    """What the forwards' connections have moved, while there is a link."""
    banner: str = ""
    """What the servers gave to be read at the last login."""
    progress: str = ""
    """What the present attempt waits for, in a line."""
    additions: ConfiguredForwards = NOTHING
    """What ssh_config(5) adds to the entry, since the listeners were bound."""
    answers: Mapping[str, int | Problem] = field(default_factory=dict)
    """By the names of forwards: the port that the server listens on, 0 for a socket; or why
    nothing listens, there or here."""


NO_LINK = LinkInfo()
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
    server: Server,
    state: State,
    link: LinkInfo = NO_LINK,
    pages: Mapping[str, PageState] = NO_PAGES,
) -> tuple[ForwardState, ...]:
    """The forwards of the file, in its order, then those of ssh_config(5). `pages` has the states
    of their pages, by the names of forwards."""
    is_up = state is State.UP

    def shown(forward: Forward) -> ForwardState:
        answer = link.answers.get(forward.name)
        if forward.kind is Kind.REMOTE:
            return _remote(forward, server, answer if is_up else None)
        problem = answer if isinstance(answer, Problem) else None
        return replace(
            _local(forward, server.bind_address, pages.get(forward.name)),
            is_up=is_up and problem is None,
            problem=problem,
        )

    return (
        *map(shown, server.forwards),
        *(replace(shown(forward), is_of_ssh=True) for forward in link.additions.forwards),
    )


def _local(forward: Forward, bind_address: str, page: PageState | None) -> ForwardState:
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
        is_up=False,
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
