"""The `Launch` port: starts the Jupyter of an entry, or says why not."""

from __future__ import annotations

import logging
from collections.abc import Callable

from trayconnect.cancel import Cancel
from trayconnect.config.endpoints import UnixEndpoint
from trayconnect.config.model import Server
from trayconnect.errors import ProblemError, Remedy
from trayconnect.jupyter.abandon import abandonable
from trayconnect.jupyter.start import LIMIT, session_name, start
from trayconnect.jupyter.start_words import failure, unreachable, way_words
from trayconnect.ports import Tunnel

logger = logging.getLogger(__name__)

REACH_TIMES = 20
REACH_EVERY = 0.25
"""Seconds between two tries to reach the socket of a Jupyter that has just begun."""


class Launcher:
    """Starts one Jupyter after another; the next look finds the new one."""

    def __init__(self, search_anew: Callable[[Tunnel], None], limit: int = LIMIT) -> None:
        self._search_anew = search_anew
        self._limit = limit

    def __call__(self, server: Server, tunnel: Tunnel, cancel: Cancel) -> str:
        """See `trayconnect.ports.Launch`."""
        started = abandonable(
            lambda: start(tunnel.execute, server, self._limit), f"tc-start {server.name}", cancel
        )
        self._search_anew(tunnel)
        if started.pid is None:
            raise ProblemError(failure(started, server, self._limit))
        if started.socket:
            _reach(tunnel, started.socket, server, cancel)
        words = way_words(started, session_name(server))
        begun = "was started before" if started.was_running else "was started"
        logger.info("%s: Jupyter %s %s, PID %d", server.name, begun, words, started.pid)
        return words


def _reach(tunnel: Tunnel, path: str, server: Server, cancel: Cancel) -> None:
    """Wait until its socket can be reached: it is made a little before it listens. Raises
    `ProblemError` where the server leads to no sockets."""

    def once() -> None:
        tunnel.open_channel(UnixEndpoint(path), ("127.0.0.1", 0)).close()

    for _ in range(REACH_TIMES):
        try:
            abandonable(once, f"tc-reach {server.name}", cancel)
        except ProblemError as error:
            problem = error.problem
            if problem.remedy is not Remedy.WAIT or cancel.wait(REACH_EVERY):
                break
        else:
            return
    cancel.check()
    raise ProblemError(unreachable(path, server, problem))
