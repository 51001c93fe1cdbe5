"""Whether a Jupyter that is to be started could be reached through this SSH server: found out
before, since one that cannot be reached cannot be stopped from here either."""

from __future__ import annotations

import logging

from trayconnect.config.model import Server
from trayconnect.config.start_options import StartOptions
from trayconnect.core.abandonable import abandonable
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.endpoints import Endpoint, TcpEndpoint, UnixEndpoint
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.link import Link, NotOpenedError, Refusal
from trayconnect.services.jupyter.discovery import LIMIT
from trayconnect.services.jupyter.discovery import script as text_of
from trayconnect.services.jupyter.start import assignments

logger = logging.getLogger(__name__)

UNUSED_PORT = 1
"""A port on which nothing listens: whether forwarding is allowed shows all the same."""

_BEGIN = "@@trayconnect reach 1\n"


def reachable(server: Server, tunnel: Link, cancel: CancelToken) -> Server:
    """The entry, with a port in the place of a UNIX socket where only ports are led to. Raises
    `ProblemError` where neither will do, and `Cancelled`.

    OpenSSH leads to no sockets where AllowTcpForwarding or PermitOpen forbid ports, so that a
    socket is never the way out."""
    start = server.start or StartOptions()
    place = _place(server, start.socket, tunnel, cancel)
    if place == "unknown" or (place != "port" and _leads(UnixEndpoint(place), tunnel, cancel)):
        return server
    if place != "port":
        if server.jupyter.socket is not None or start.socket == "always":
            raise ProblemError(_no_socket(server))
        logger.info("%s: its SSH server leads to no UNIX sockets: a port is used", server.name)
        start = start.model_copy(update={"socket": "never"})
        server = server.model_copy(update={"start": start})
    port = server.jupyter.port
    number = UNUSED_PORT if port == "auto" else port
    if not _leads(TcpEndpoint("127.0.0.1", number), tunnel, cancel):
        raise ProblemError(_no_port(server))
    return server


def _place(server: Server, sharing: str, tunnel: Link, cancel: CancelToken) -> str:
    """`port` where it is to listen on one, else the path of a socket to try, or `unknown`."""
    port = server.jupyter.port
    values = {
        "sock": server.jupyter.socket or "",
        "port": "0" if port == "auto" else str(port),
        "sharing": sharing,
    }
    text = text_of("process.sh") + assignments(values) + text_of("sockets.sh", "reach.sh")
    done = abandonable(
        lambda: tunnel.execute("exec sh", text.encode(), LIMIT), f"tc-reach {server.name}", cancel
    )
    _, _, report = done.stdout.decode("utf-8", "replace").replace("\r", "").partition(_BEGIN)
    match report.split():
        case ["@@port"]:
            return "port"
        case ["@@socket", path] if path.startswith("/"):
            return path
        case _:
            return "unknown"


def _leads(where: Endpoint, tunnel: Link, cancel: CancelToken) -> bool:
    def once() -> None:
        tunnel.open_channel(where, ("127.0.0.1", 0)).close()

    try:
        abandonable(once, "tc-reach", cancel)
    except NotOpenedError as error:
        # OpenSSH calls a socket that it may not open one that does not answer.
        return isinstance(where, TcpEndpoint) and error.refusal is not Refusal.FORBIDDEN
    return True


def _no_port(server: Server) -> Problem:
    port = server.jupyter.port
    named = "" if port == "auto" else f" to port {port}"
    return Problem(
        f"The SSH server of {server.host} forbids forwarding{named}, so no Jupyter was started",
        "One that runs there could not be reached. Where it allows certain ports only (permitopen "
        "127.0.0.1:PORT), name one of them as 'port' under 'jupyter'; or ask its administrator for "
        "AllowTcpForwarding.",
        Recovery.FIX_FIRST,
    )


def _no_socket(server: Server) -> Problem:
    hint = (
        "Leave 'socket' out under 'jupyter'"
        if server.jupyter.socket is not None
        else "Say 'socket: auto' under 'start'"
    )
    return Problem(
        f"The SSH server of {server.host} leads to no UNIX sockets, so no Jupyter was started",
        f"It may forbid it (AllowStreamLocalForwarding). {hint}: then a port is used.",
        Recovery.FIX_FIRST,
    )
