"""Starts the Jupyter of an entry. Before that, checks whether it could be reached through the SSH
server: if not, it could not be stopped from here either."""

from __future__ import annotations

import logging
from collections.abc import Callable

from trayconnect.config.model import Server
from trayconnect.config.start_options import StartOptions
from trayconnect.core import remote_script
from trayconnect.core.abandonable import abandonable
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.endpoints import Endpoint, TcpEndpoint, UnixEndpoint
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.link import Link, NotOpenedError, Refusal
from trayconnect.services.jupyter.discovery import LIMIT as SHELL_LIMIT
from trayconnect.services.jupyter.discovery import find
from trayconnect.services.jupyter.discovery import script as text_of
from trayconnect.services.jupyter.model import FoundJupyter
from trayconnect.services.jupyter.start import LIMIT, StartResult, assignments, session_name, start
from trayconnect.services.jupyter.start_errors import failure, launcher_text, unreachable
from trayconnect.services.jupyter.stop import end

_ENDED = "@@trayconnect ended 1\n"

logger = logging.getLogger(__name__)

ANEW_TIMES = 40
ANEW_EVERY = 0.5
"""Seconds between two tries to start in place of a Jupyter that is ending."""
REACH_TIMES = 20
REACH_EVERY = 0.25
"""Seconds between two tries to reach the socket of a Jupyter that has just begun."""


class JupyterLauncher:
    """Starts one Jupyter after another; the next health check finds the new one."""

    def __init__(self, search_anew: Callable[[Link, str], None], limit: int = LIMIT) -> None:
        """`search_anew` gets the entry's name once its Jupyter runs."""
        self._search_anew = search_anew
        self._limit = limit

    def __call__(self, server: Server, tunnel: Link, cancel: CancelToken) -> str:
        """See `Work.launch`."""
        reached = reachable(server, tunnel, cancel)
        for _ in range(ANEW_TIMES):
            started = abandonable(
                lambda: start(tunnel.execute, reached, self._limit),
                f"tc-start {server.name}",
                cancel,
            )
            if started.pid is None or not started.was_running:
                break
            if _listens(started.pid, server, tunnel, cancel) or cancel.wait(ANEW_EVERY):
                break
        self._search_anew(tunnel, "" if started.pid is None else server.name)
        if started.pid is None:
            raise ProblemError(failure(started, server, self._limit))
        if started.socket:
            _reach(tunnel, started, server, cancel)
        words = launcher_text(started, session_name(server))
        begun = "was started before" if started.was_running else "was started"
        logger.info("%s: Jupyter %s %s, PID %d", server.name, begun, words, started.pid)
        return words

    def ended(
        self, server: Server, tunnel: Link, used: FoundJupyter, cancel: CancelToken
    ) -> bool | None:
        """See `Work.how_it_ended`."""
        values = {"pid": str(used.pid), "when": used.born}
        text = text_of("process.sh") + assignments(values) + text_of("ended.sh")
        try:
            done = abandonable(
                lambda: tunnel.execute(
                    remote_script.COMMAND, remote_script.stdin(text), SHELL_LIMIT
                ),
                f"tc-ended {server.name}",
                cancel,
            )
        except ProblemError:
            return None
        _, _, report = done.stdout.decode("utf-8", "replace").partition(_ENDED)
        match report.split():
            case ["@@lives"]:
                return None
            case ["@@status", status]:
                return status != "0"
            case ["@@killed"] | ["@@rebooted"]:
                return True
            case _:
                return False


def _listens(pid: int, server: Server, tunnel: Link, cancel: CancelToken) -> bool:
    """Whether a process that the script reported as running really listens, and is not just
    ending."""
    host = server.host or server.name
    try:
        found = abandonable(lambda: find(tunnel.execute, host), f"tc-find {server.name}", cancel)
    except ProblemError:
        return True
    return any(one.pid == pid for one in found.servers)


def _reach(tunnel: Link, started: StartResult, server: Server, cancel: CancelToken) -> None:
    """Wait until its socket can be reached: it exists a little before it listens. Raises
    `ProblemError` if it cannot be reached, after ending a Jupyter that was just started."""
    path = started.socket

    def once() -> None:
        tunnel.open_channel(UnixEndpoint(path), ("127.0.0.1", 0)).close()

    for _ in range(REACH_TIMES):
        try:
            abandonable(once, f"tc-reach {server.name}", cancel)
        except ProblemError as error:
            problem = error.problem
            if problem.recovery is not Recovery.RETRY or cancel.wait(REACH_EVERY):
                break
        else:
            return
    cancel.check()
    if not started.was_running and started.born:
        end(tunnel.execute, f"{started.pid} {started.born}", server.name, cancel)
    raise ProblemError(unreachable(started, server, problem))


UNUSED_PORT = 1
"""A port without a listener: the answer shows whether forwarding is allowed."""

_BEGIN = "@@trayconnect reach 1\n"


def reachable(server: Server, tunnel: Link, cancel: CancelToken) -> Server:
    """The entry, with a port in place of a UNIX socket if the server forwards only to ports. Raises
    `ProblemError` if it forwards to neither, and `Cancelled`.

    Where AllowTcpForwarding or PermitOpen forbid ports, OpenSSH forbids sockets too, so a socket
    never helps."""
    start = server.start or StartOptions()
    place = _place(server, start.socket, tunnel, cancel)
    if place == "unknown" or (place != "port" and _leads(UnixEndpoint(place), tunnel, cancel)):
        return server
    if place != "port":
        if server.jupyter.socket is not None or start.socket == "always":
            raise ProblemError(_no_socket(server))
        logger.info(
            "%s: its SSH server does not forward to UNIX sockets: a port is used", server.name
        )
        start = start.model_copy(update={"socket": "never"})
        server = server.model_copy(update={"start": start})
    port = server.jupyter.port
    number = UNUSED_PORT if port == "auto" else port
    if not _leads(TcpEndpoint("127.0.0.1", number), tunnel, cancel):
        raise ProblemError(_no_port(server))
    return server


def _place(server: Server, sharing: str, tunnel: Link, cancel: CancelToken) -> str:
    """`port` to listen on a port, else the path of a socket to try, or `unknown`."""
    port = server.jupyter.port
    values = {
        "sock": server.jupyter.socket or "",
        "port": "0" if port == "auto" else str(port),
        "sharing": sharing,
    }
    text = text_of("process.sh") + assignments(values) + text_of("sockets.sh", "reach.sh")
    done = abandonable(
        lambda: tunnel.execute(remote_script.COMMAND, remote_script.stdin(text), SHELL_LIMIT),
        f"tc-reach {server.name}",
        cancel,
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
        # OpenSSH does not distinguish a forbidden socket from a silent one.
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
        else "Write 'socket: auto' under 'start'"
    )
    return Problem(
        f"No Jupyter was started: the SSH server of {server.host} does not forward to UNIX sockets",
        f"It may forbid that (AllowStreamLocalForwarding). {hint} to use a port.",
        Recovery.FIX_FIRST,
    )
