"""The `Launch` port: starts the Jupyter of an entry, or says why not."""

from __future__ import annotations

import logging
from collections.abc import Callable

from trayconnect.cancel import Cancel
from trayconnect.config.model import Server
from trayconnect.errors import ProblemError
from trayconnect.jupyter.abandon import abandonable
from trayconnect.jupyter.start import LIMIT, session_name, start
from trayconnect.jupyter.start_words import failure, way_words
from trayconnect.ports import Tunnel

logger = logging.getLogger(__name__)


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
        words = way_words(started, session_name(server))
        begun = "was started before" if started.was_running else "was started"
        logger.info("%s: Jupyter %s %s, PID %d", server.name, begun, words, started.pid)
        return words
