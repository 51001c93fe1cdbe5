"""A session and the Jupyter behind its link, stepped together as the manager does, without I/O."""

from __future__ import annotations

from trayconnect.config.model import Server
from trayconnect.core.command import Command
from trayconnect.services.jupyter import machine as jupyter
from trayconnect.services.jupyter.model import Health
from trayconnect.services.jupyter.presentation import JupyterFacts
from trayconnect.services.jupyter.service import facts, status
from trayconnect.sessions import state as events
from trayconnect.sessions.machine import Now, step
from trayconnect.sessions.snapshot import Snapshot, snapshot
from trayconnect.sessions.state import Session, State

Effect = events.Effect | jupyter.Effect
_EVENTS: dict[type, jupyter.Event] = {
    events.Connect: Command("connect"),
    events.Disconnect: Command("disconnect"),
    events.Restart: Command("reconnect"),
    events.NetworkChanged: jupyter.CheckAgain(),
}


class Stepped:
    """Give it events of the link, orders, or what a look found."""

    def __init__(self, server: Server) -> None:
        self.session = Session(server)
        self.jupyter = jupyter.JupyterState(server)

    @property
    def snapshot(self) -> Snapshot:
        return snapshot(self.session, services=[status(self.jupyter)])

    @property
    def facts(self) -> JupyterFacts:
        return facts(self.jupyter)

    def feed(
        self,
        given: events.Event
        | Command
        | jupyter.CheckAgain
        | jupyter.JupyterStopping
        | jupyter.JupyterStopped
        | Health,
        now: float = 0.0,
    ) -> list[Effect]:
        """What is to be done."""
        if isinstance(given, Health):
            known = self.jupyter
            return self._jupyter(jupyter.Examined(known.link, known.epoch, given), now)
        if isinstance(
            given, Command | jupyter.CheckAgain | jupyter.JupyterStopping | jupyter.JupyterStopped
        ):
            return self._jupyter(given, now)
        before = self.session
        self.session, effects = step(before, given, Now(now, 0.0))
        after, order = self.session, _EVENTS.get(type(given))
        done: list[Effect] = []
        if before.state is State.UP and after.state is not State.UP:
            done += self._jupyter(jupyter.LinkDown(), now)
        ends = after.state is State.CLOSING and before.state is not State.CLOSING
        if order is None and ends and not after.restart:
            order = Command("disconnect")
        if order is not None:
            done += self._jupyter(order, now)
        if after.server is not before.server:
            done += self._jupyter(jupyter.EntryChanged(after.server), now)
        done += effects
        if before.state is not State.UP and after.state is State.UP:
            done += self._jupyter(jupyter.LinkUp(), now)
        return done

    def _jupyter(self, event: jupyter.Event, now: float) -> list[Effect]:
        self.jupyter, effects = jupyter.step(self.jupyter, event, now)
        return list(effects)
