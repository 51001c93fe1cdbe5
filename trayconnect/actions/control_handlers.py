"""What the commands ask over the control socket, answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trayconnect.actions.jupyter_commands import JupyterOrders
from trayconnect.actions.server_commands import Orders
from trayconnect.control.protocol import Command, Reply, Request
from trayconnect.control.status import to_json
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.tray.backends.choice import TrayReport

START_WAIT = 180.0
"""Seconds that a Jupyter may take to start where the request says nothing of it."""


@dataclass(frozen=True, slots=True)
class Requests:
    """Answers one request at a time, on the thread that brings it."""

    orders: Orders
    reload: Callable[[], Reply]
    show: Callable[[], None]
    tray: Callable[[], TrayReport | None]
    """How the icon is shown; None without one."""
    quit: Callable[[], None]
    file_problem: Callable[[], Problem | None] = lambda: None
    """What is wrong with the server file."""

    @property
    def jupyter(self) -> JupyterOrders:
        return JupyterOrders(self.orders)

    def answer(self, request: Request, cancel: CancelToken) -> Reply:
        """A `ProblemError` becomes a reply that is not ok."""
        handlers: Mapping[Command, Callable[[Request, CancelToken], Reply]] = {
            Command.CONNECT: self._connect,
            Command.DISCONNECT: self._disconnect,
            Command.OPEN: self._open,
            Command.LINK: self._link,
            Command.START: self._start,
            Command.LOSSES: self._losses,
            Command.STOP: self._stop,
            Command.RESTART: self._restart,
            Command.JUPYTER_LOG: self._jupyter_log,
            Command.CHOOSE: self._choose,
            Command.RELOAD: lambda _request, _cancel: self.reload(),
            Command.QUIT: self._quit,
            Command.STATUS: self._status,
            Command.TRAY: self._tray,
            Command.SHOW: self._show,
            Command.PING: lambda _request, _cancel: Reply(ok=True),
        }
        try:
            return handlers[request.command](request, cancel)
        except ProblemError as error:
            return Reply(ok=False, problem=error.problem)

    def _connect(self, request: Request, cancel: CancelToken) -> Reply:
        name = _name(request)
        if request.wait is None:
            return _server(self.orders.connect(name))
        return _server(self.orders.connect_and_wait(name, request.wait, cancel))

    def _disconnect(self, request: Request, _cancel: CancelToken) -> Reply:
        return _server(self.orders.disconnect(_name(request)))

    def _open(self, request: Request, cancel: CancelToken) -> Reply:
        return _server(self.orders.open_and_tell(_name(request), cancel))

    def _link(self, request: Request, cancel: CancelToken) -> Reply:
        name = _name(request)
        page = self.orders.link(name, request.wait or 0.0, cancel)
        problem = None if page.token else self.orders.snapshot(name).problem
        why = _NO_TOKEN if problem is None else str(problem)
        return Reply(ok=True, data={"link": page.link, "why": "" if page.token else why})

    def _start(self, request: Request, cancel: CancelToken) -> Reply:
        name = _name(request)
        if request.wait is None:
            return _server(self.jupyter.start(name))
        return _server(self.jupyter.start_and_wait(name, request.wait, cancel))

    def _losses(self, request: Request, cancel: CancelToken) -> Reply:
        running = self.jupyter.running(_name(request), cancel)
        told = {"label": running.label, "losses": running.losses.words}
        return Reply(ok=True, data={"identity": running.identity, **told})

    def _stop(self, request: Request, cancel: CancelToken) -> Reply:
        self.jupyter.stop(_name(request), cancel, request.choice or "")
        return Reply(ok=True)

    def _restart(self, request: Request, cancel: CancelToken) -> Reply:
        name = _name(request)
        self.jupyter.restart(name, cancel, request.choice or "")
        return _server(self.jupyter.start_and_wait(name, request.wait or START_WAIT, cancel))

    def _jupyter_log(self, request: Request, cancel: CancelToken) -> Reply:
        return Reply(ok=True, data={"log": self.jupyter.log(_name(request), cancel)})

    def _choose(self, request: Request, _cancel: CancelToken) -> Reply:
        return _server(self.orders.choose_and_wait(_name(request), request.choice or ""))

    def _status(self, request: Request, _cancel: CancelToken) -> Reply:
        """Of one server, if it is named."""
        if request.name:
            return _server(self.orders.snapshot(request.name))
        return Reply(ok=True, data=to_json(self.orders.manager.snapshots(), self.file_problem()))

    def _tray(self, _request: Request, _cancel: CancelToken) -> Reply:
        report = self.tray()
        if report is None:
            return Reply(ok=True)
        told = {"way": report.way.value, "reason": report.reason, "host": report.host}
        return Reply(ok=True, data={**told, "shown": report.shown})

    def _show(self, _request: Request, _cancel: CancelToken) -> Reply:
        self.show()
        return Reply(ok=True)

    def _quit(self, _request: Request, _cancel: CancelToken) -> Reply:
        self.quit()
        return Reply(ok=True)


_NO_TOKEN = "It has no token: that Jupyter wants none, or none was found for it."


def _name(request: Request) -> str:
    if not request.name:
        raise ProblemError(Problem("No server was named", "Give a name from the server file"))
    return request.name


def _server(snapshot: Snapshot) -> Reply:
    return Reply(ok=True, data=to_json([snapshot]))
