"""What a user can order about the Jupyter on a server, by a click or by a command."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from trayconnect.actions.server_commands import IN_PROGRESS, Orders
from trayconnect.config.model import SAME_HOST, Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.page import Page
from trayconnect.services.jupyter import stop
from trayconnect.services.jupyter.discovery import Execute
from trayconnect.services.jupyter.log import read_log
from trayconnect.services.model import FoundJupyter
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.sessions.state import State
from trayconnect.tray.labels import jupyter_words

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
class JupyterOrders:
    """Orders by name. Raises `ProblemError` where one cannot be carried out."""

    orders: Orders

    def start(self, name: str) -> Snapshot:
        """Begin; connects first where that is needed."""
        server = self._startable(name)
        self.orders.manager.start_jupyter(server.name)
        return self.orders.settled(server)

    def start_and_wait(self, name: str, seconds: float, cancel: CancelToken) -> Snapshot:
        """Begin, and block until its page answers; raises what hindered it."""
        server = self._startable(name)
        manager = self.orders.manager

        def ended(all_: Mapping[str, Snapshot]) -> bool:
            now = all_.get(server.name)
            if now is None or cancel.is_set():
                return True
            if now.state is State.UP:
                return not now.starting and (now.is_ready or now.problem is not None)
            return not (now.asking or now.state in IN_PROGRESS)

        with cancel.releasing(manager.recheck):
            now = self.start(server.name)
            manager.wait_until(ended, seconds)
        now = self.orders.settled(server)
        if now.is_ready:
            return now
        raise ProblemError(now.problem or _not_yet(now, seconds))

    def running(self, name: str, cancel: CancelToken) -> Running:
        """The Jupyter in use, and what would be lost by stopping it now."""
        server = self.orders.find(name)
        now = self.orders.settled(server)
        page, used = self._page(now), now.in_use
        losses = stop.losses(page, cancel)
        identity = stop.identity(page, used, cancel)
        if _process(self.orders.settled(server).in_use) != _process(used):
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
        server = self.orders.find(name)
        now = self.orders.settled(server)
        current = _process(now.in_use)
        identity = identity or current
        by_process = bool(_PROCESS.fullmatch(identity))
        if by_process and identity != current:
            # Another one is in use by now, and stays so.
            stop.end(self._execute(server), identity, server.name, cancel)
            self.orders.manager.look(server.name)
            return
        page = self._page(now)
        # Before it ends: a look that finds it gone must not start another one.
        self.orders.manager.jupyter_stopped(server.name, done=False)
        self.orders.settled(server)
        if by_process:
            stop.end(self._execute(server), identity, server.name, cancel)
        else:
            stop.shut_down(page, cancel, identity)
        self.orders.manager.jupyter_stopped(server.name)

    def restart(self, name: str, cancel: CancelToken, identity: str = "") -> None:
        """Stop it, and start one as the entry says; returns when the new one is being started."""
        server = self._startable(name)
        self.stop(name, cancel, identity)
        self.orders.manager.start_jupyter(server.name)

    def log(self, name: str, cancel: CancelToken) -> str:
        """The end of the log of the Jupyter that trayconnect started there."""
        server = self._startable(name)
        used = self.orders.settled(server).in_use
        return read_log(self._execute(server), server, used, cancel)

    def _execute(self, server: Server) -> Execute:
        tunnel = self.orders.manager.tunnel(server.name)
        if tunnel is None:
            raise ProblemError(
                Problem(f"{server.name} is not connected", "Connect it first", Recovery.RETRY)
            )
        return tunnel.execute

    def _startable(self, name: str) -> Server:
        server = self.orders.find(name)
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


def _not_yet(now: Snapshot, seconds: float) -> Problem:
    if now.state is State.OFF:
        return Problem(f"{now.name} was disconnected", "Start it again")
    if now.asking:
        return Problem(
            f"{now.name} waits for your answer",
            "Answer the question that trayconnect shows",
            Recovery.USER_ACTION,
        )
    return Problem(
        f"Jupyter did not answer on {now.name} within {seconds:g} s",
        "It goes on starting; trayconnect status tells how far it is",
        Recovery.RETRY,
    )
