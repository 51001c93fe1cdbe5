"""The commands that start, stop and examine the Jupyter of a server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from trayconnect.actions.dispatcher import Handler
from trayconnect.actions.server_commands import ServerCommands
from trayconnect.config.model import SAME_HOST, Server
from trayconnect.control.protocol import JSON
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import Command
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.page import Page
from trayconnect.services.jupyter import stop
from trayconnect.services.jupyter.discovery import Execute
from trayconnect.services.jupyter.log import read_log
from trayconnect.services.jupyter.machine import JupyterStopped, JupyterStopping, StartJupyter
from trayconnect.services.jupyter.presentation import facts_of, jupyter_words
from trayconnect.services.model import FoundJupyter
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.sessions.state import State

START_WAIT = 180.0
"""Seconds that a Jupyter may take to start where the command says nothing of it."""
_PROCESS = re.compile(r"[0-9]{1,18} [\w:.+-]{1,100}", re.ASCII)
"""The identity of a Jupyter whose process is known."""


@dataclass(frozen=True, slots=True)
class Running:
    """A Jupyter that somebody may want to stop."""

    identity: str
    """See `stop.identity`."""
    losses: stop.Losses
    label: str
    """Its folder and where it listens; empty if unknown."""


@dataclass(frozen=True, slots=True)
class JupyterCommands:
    """Stopping and restarting without a question; `JupyterStops` asks first."""

    servers: ServerCommands

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {
            "start-jupyter": self._start,
            "jupyter-losses": self._losses,
            "jupyter-log": lambda command, cancel: {"log": self.log(command.server, cancel)},
        }

    def _start(self, command: Command, cancel: CancelToken) -> Snapshot:
        """Connects first where that is needed. With a `wait`, block until its page answers."""
        server = self._startable(command.server)
        if command.wait is not None:
            return self.start_and_wait(server, command.wait, cancel)
        self.servers.manager.order(server.name, StartJupyter(), connects=True)
        return self.servers.settled(server)

    def start_and_wait(self, server: Server, seconds: float, cancel: CancelToken) -> Snapshot:
        def begin() -> None:
            self.servers.manager.order(server.name, StartJupyter(), connects=True)

        return self.servers.reach(server, begin, seconds, cancel, starting=True)

    def _losses(self, command: Command, cancel: CancelToken) -> Mapping[str, JSON]:
        """What would be lost by stopping the Jupyter in use now."""
        running = self.running(command.server, cancel)
        told = {"label": running.label, "losses": running.losses.words}
        return {"identity": running.identity, **told}

    def running(self, name: str, cancel: CancelToken) -> Running:
        """The Jupyter in use, and what would be lost by stopping it now."""
        server = self.servers.find(name)
        now = self.servers.settled(server)
        page, used = self._page(now), facts_of(now.service).in_use
        losses = stop.losses(page, cancel)
        identity = stop.identity(page, used, cancel)
        if _process(facts_of(self.servers.settled(server).service).in_use) != _process(used):
            raise ProblemError(
                Problem(
                    f"The Jupyter in use on {now.name} has just changed",
                    "Look at the new one, and try again.",
                    Recovery.RETRY,
                )
            )
        label = "" if used is None else jupyter_words(replace(used, kernels=None))
        return Running(identity, losses, label)

    def stop(self, name: str, cancel: CancelToken, identity: str = "") -> None:
        """Stop the Jupyter of that identity, or the one in use, with all its kernels; returns when
        its process has ended. The tunnel stays."""
        server = self.servers.find(name)
        now = self.servers.settled(server)
        current = _process(facts_of(now.service).in_use)
        identity = identity or current
        by_process = bool(_PROCESS.fullmatch(identity))
        if by_process and identity != current:
            # Another one is in use by now, and stays so.
            stop.end(self._execute(server), identity, server.name, cancel)
            self.servers.manager.look(server.name)
            return
        page = self._page(now)
        # Before it ends: a look that finds it gone must not start another one.
        self.servers.manager.order(server.name, JupyterStopping())
        done = False
        try:
            self.servers.settled(server)
            if by_process:
                stop.end(self._execute(server), identity, server.name, cancel)
            else:
                stop.shut_down(page, cancel, identity)
            done = True
        finally:
            self.servers.manager.order(server.name, JupyterStopped(done))

    def restart(self, name: str, cancel: CancelToken, identity: str = "") -> Server:
        """Stop it, and start one as the entry says; returns when the new one is being started."""
        server = self._startable(name)
        self.stop(name, cancel, identity)
        self.servers.manager.order(server.name, StartJupyter(), connects=True)
        return server

    def log(self, name: str, cancel: CancelToken) -> str:
        """The end of the log of the Jupyter that trayconnect started there."""
        server = self._startable(name)
        used = facts_of(self.servers.settled(server).service).in_use
        return read_log(self._execute(server), server, used, cancel)

    def _execute(self, server: Server) -> Execute:
        tunnel = self.servers.manager.link(server.name)
        if tunnel is None:
            raise ProblemError(
                Problem(f"{server.name} is not connected", "Connect it first", Recovery.RETRY)
            )
        return tunnel.execute

    def _startable(self, name: str) -> Server:
        server = self.servers.find(name)
        if server.is_direct:
            raise ProblemError(
                Problem(
                    f"There is no way to start Jupyter on {server.name}",
                    "It is a direct connection: give its entry a host, to be reached by SSH.",
                )
            )
        if server.jupyter.host not in SAME_HOST:
            raise ProblemError(
                Problem(
                    f"Jupyter of {server.name} runs on {server.jupyter.host}",
                    f"Start it there: trayconnect would start it on {server.host}.",
                )
            )
        return server

    def _page(self, now: Snapshot) -> Page:
        if now.page is None:
            advice = "Connect it first"
            if now.state is State.UP:
                advice = now.problem.advice if now.problem else "Try again in a moment"
            raise ProblemError(Problem(f"No Jupyter answers on {now.name}", advice, Recovery.RETRY))
        return now.page


def _process(used: FoundJupyter | None) -> str:
    return f"{used.pid} {used.born}" if used is not None and used.pid and used.born else ""
