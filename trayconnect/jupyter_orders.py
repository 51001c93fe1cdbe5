"""What a user can order about the Jupyter on a server, by a click or by a command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trayconnect.cancel import Cancel
from trayconnect.config.model import Server
from trayconnect.errors import Problem, ProblemError, Remedy
from trayconnect.jupyter import stop
from trayconnect.orders import IN_PROGRESS, Orders
from trayconnect.ports import Page
from trayconnect.session.snapshot import Snapshot
from trayconnect.session.state import State


@dataclass(frozen=True, slots=True)
class JupyterOrders:
    """Orders by name. Raises `ProblemError` where one cannot be carried out."""

    orders: Orders

    def start(self, name: str) -> Snapshot:
        """Begin; connects first where that is needed."""
        server = self._startable(name)
        self.orders.manager.start_jupyter(server.name)
        return self.orders.settled(server)

    def start_and_wait(self, name: str, seconds: float, cancel: Cancel) -> Snapshot:
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

    def busy_kernels(self, name: str, cancel: Cancel) -> tuple[str, ...]:
        """What would be lost by stopping it now."""
        return stop.busy_kernels(self._page(name), cancel)

    def stop(self, name: str, cancel: Cancel) -> None:
        """Stop it, with all its kernels; returns when it has ended. The tunnel stays."""
        server = self.orders.find(name)
        page = self._page(name)
        # Before it ends: a look that finds it gone must not start another one.
        self.orders.manager.jupyter_stopped(server.name, done=False)
        self.orders.settled(server)
        stop.shut_down(page, cancel)
        self.orders.manager.jupyter_stopped(server.name)

    def _startable(self, name: str) -> Server:
        server = self.orders.find(name)
        if server.is_direct:
            raise ProblemError(
                Problem(
                    f"There is no way to start Jupyter on {server.name}",
                    "It is a direct connection: give its entry a host, to be reached by SSH.",
                )
            )
        return server

    def _page(self, name: str) -> Page:
        now = self.orders.settled(self.orders.find(name))
        if now.page is None:
            raise ProblemError(
                Problem(f"No Jupyter answers on {now.name}", "Connect it first", Remedy.WAIT)
            )
        return now.page


def _not_yet(now: Snapshot, seconds: float) -> Problem:
    if now.state is State.OFF:
        return Problem(f"{now.name} was disconnected", "Start it again")
    if now.asking:
        return Problem(
            f"{now.name} waits for your answer",
            "Answer the question that trayconnect shows",
            Remedy.USER,
        )
    return Problem(
        f"Jupyter did not answer on {now.name} within {seconds:g} s",
        "It goes on starting; trayconnect status tells how far it is",
        Remedy.WAIT,
    )
