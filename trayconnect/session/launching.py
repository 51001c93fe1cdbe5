"""When a session starts Jupyter on its server, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from trayconnect.cancel import Cancel
from trayconnect.config.model import Server, Start
from trayconnect.errors import Problem, ProblemError
from trayconnect.ports import Health, Launch, Reached, Tunnel
from trayconnect.session.events import JupyterStarted, JupyterStarting, Report


class Launching:
    """By itself it starts one once an attempt, where the entry says so and none runs; and no more
    after the user stopped it, or after it was in vain, until the entry says something else of it.
    On the runner's thread."""

    def __init__(self, launch: Launch, report: Callable[[Report], None]) -> None:
        self._launch = launch
        self._report = report
        self._by_itself = True
        self._start: Start | None = None
        """What the entry last said."""
        self._attempt = 0
        """The latest attempt that one was started for."""
        self._in_vain: Problem | None = None

    def is_due(self, attempt: int, server: Server, health: Health) -> bool:
        """Whether this look is reason to start one."""
        if server.start != self._start:
            self._start = server.start
            self._by_itself, self._attempt = True, 0
        wanted = server.start is not None and server.start.when == "missing"
        return wanted and health.missing and self._by_itself and attempt != self._attempt

    def start(self, attempt: int, server: Server, tunnel: Tunnel, cancel: Cancel) -> None:
        """Start it; what hinders it is told by the looks that follow. Raises `Cancelled`."""
        self._attempt = attempt
        self._in_vain = None
        self._report(JupyterStarting(attempt))
        words = ""
        try:
            words = self._launch(server, tunnel, cancel)
            self._by_itself = True
        except ProblemError as error:
            cancel.check()
            self._by_itself = False
            self._in_vain = error.problem
        finally:
            self._report(JupyterStarted(attempt, words))
        cancel.check()

    def leave_stopped(self) -> None:
        """The user stopped it: start none by itself."""
        self._by_itself = False
        self._in_vain = None

    def told(self, health: Health) -> Health:
        """What a look found, with why none could be started."""
        if health.reached >= Reached.JUPYTER:
            self._in_vain = None
        return health if self._in_vain is None else replace(health, problem=self._in_vain)
