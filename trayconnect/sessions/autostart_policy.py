"""When a session starts Jupyter on its server, and what is known of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from trayconnect.config.model import Server
from trayconnect.config.start_options import StartOptions
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.link import Link
from trayconnect.services.model import FoundJupyter, Health, Reached
from trayconnect.sessions.dependencies import HowItEnded, Launch
from trayconnect.sessions.events import JupyterStarted, JupyterStarting, Report

SOON = 60.0
"""Seconds: one that was started after a crash, and crashes again so soon, is not started again."""


class AutostartPolicy:
    """Where the entry says so, it starts one once after the user has connected, if none runs; and
    again after one that was in use has crashed. One that ended properly, as by File > Shut Down,
    stays ended. Nor is one started after a failure, until the entry says something else of it. On
    the runner's thread."""

    def __init__(
        self, launch: Launch, how_it_ended: HowItEnded, report: Callable[[Report], None]
    ) -> None:
        self._launch = launch
        self._how_it_ended = how_it_ended
        self._report = report
        self._is_wanted = True
        """Whether the user has connected, and no Jupyter has answered since."""
        self._used: FoundJupyter | None = None
        """The one that was in use, while how it ended is still to be asked."""
        self._start: StartOptions | None = None
        """What the entry last said."""
        self._crash = -SOON
        """When one was last found to have crashed, on the monotonic clock."""
        self._in_vain: Problem | None = None

    def allow(self) -> None:
        """The user has connected again."""
        self._is_wanted = True

    def forbid(self) -> None:
        """The user stopped it, or the connection is not a new one: start none."""
        self._is_wanted = False
        self._used = None
        self._in_vain = None

    def is_due(self, server: Server, tunnel: Link, health: Health, cancel: CancelToken) -> bool:
        """Whether this look is reason to start one. Raises `Cancelled`."""
        if server.start != self._start:
            self._is_wanted |= self._in_vain is not None
            self._start, self._in_vain = server.start, None
        start = server.start
        if start is None or start.when != "missing" or not health.missing or self._in_vain:
            return False
        return self._is_wanted or self._crashed(server, tunnel, cancel)

    def _crashed(self, server: Server, tunnel: Link, cancel: CancelToken) -> bool:
        if self._used is None:
            return False
        crashed = self._how_it_ended(server, tunnel, self._used, cancel)
        if crashed is None:
            return False
        self._used = None
        if not crashed:
            return False
        before, self._crash = self._crash, time.monotonic()
        if self._crash - before < SOON:
            self._in_vain = Problem(
                f"Jupyter crashed on {server.host} twice within {SOON:g} s",
                "Look at its log, then choose Start Jupyter.",
            )
            return False
        return True

    def start(self, attempt: int, server: Server, tunnel: Link, cancel: CancelToken) -> None:
        """Start it; what hinders it is told by the looks that follow. Raises `Cancelled`."""
        self._in_vain = None
        self._report(JupyterStarting(attempt))
        words = ""
        try:
            words = self._launch(server, tunnel, cancel)
            self._is_wanted = False
        except ProblemError as error:
            cancel.check()
            self._is_wanted = False
            self._in_vain = error.problem
        finally:
            self._report(JupyterStarted(attempt, words))
        cancel.check()

    def told(self, health: Health) -> Health:
        """What a look found, with why none could be started; of every look."""
        if health.reached >= Reached.JUPYTER:
            self._in_vain = None
            if not health.missing:
                self._is_wanted = False
                self._used = next((one for one in health.jupyters if one.in_use), self._used)
        return health if self._in_vain is None else replace(health, problem=self._in_vain)
