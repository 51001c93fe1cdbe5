"""What the lines of the menu do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trayconnect.actions.jupyter_commands import JupyterOrders
from trayconnect.actions.jupyter_stop import JupyterStops
from trayconnect.actions.server_commands import Orders
from trayconnect.config.model import Server
from trayconnect.config.server_file import ServerFile
from trayconnect.core import logs
from trayconnect.core.errors import Problem, ProblemError, unforeseen
from trayconnect.core.notices import Notice, NoticeAction, Notifier
from trayconnect.core.questions import Prompter
from trayconnect.desktop.autostart.entry import Autostart
from trayconnect.desktop.editor import open_in_editor
from trayconnect.desktop.windows.text_view import TextViews
from trayconnect.diagnostics import report
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.tray.view import Action, Verb

logger = logging.getLogger(__name__)

BUTTONS: Mapping[NoticeAction, Verb] = {
    NoticeAction.OPEN: Verb.OPEN,
    NoticeAction.RETRY: Verb.CONNECT,
    NoticeAction.DISCONNECT: Verb.DISCONNECT,
    NoticeAction.EDIT: Verb.EDIT_SERVERS,
}
"""What the buttons of a notice do, in the menu's words."""


@dataclass(frozen=True, slots=True)
class MenuActions:
    """Carries out one action after another, on the thread that calls it. Never raises."""

    orders: Orders
    stops: JupyterStops
    file: ServerFile
    autostart: Autostart
    prompter: Prompter
    notifier: Notifier
    views: TextViews
    refresh: Callable[[], None]
    show_status: Callable[[], None]
    quit: Callable[[], None]
    open_terminal: Callable[[Server], None] = lambda _server: None

    def __call__(self, action: Action) -> None:
        verbs: Mapping[Verb, Callable[[Action], object]] = {
            Verb.CONNECT: lambda a: self.orders.connect(a.server),
            Verb.DISCONNECT: lambda a: self.orders.disconnect(a.server),
            Verb.OPEN: lambda a: self.orders.open(a.server, a.forward),
            Verb.CHOOSE_JUPYTER: lambda a: self.orders.choose_jupyter(a.server, a.jupyter),
            Verb.COPY_LINK: lambda a: self.orders.copy_link(a.server),
            Verb.COPY_FORWARD: lambda a: self.orders.copy_forward(a.server, a.forward),
            Verb.OPEN_TERMINAL: lambda a: self.open_terminal(self.orders.find(a.server)),
            Verb.RECONNECT: lambda a: self.orders.reconnect(a.server),
            Verb.START_JUPYTER: lambda a: JupyterOrders(self.orders).start(a.server),
            Verb.STOP_JUPYTER: lambda a: self.stops.begin(a.server),
            Verb.RESTART_JUPYTER: lambda a: self.stops.begin(a.server, restart=True),
            Verb.SHOW_JUPYTER_LOG: self._show_jupyter_log,
            Verb.ANSWER: lambda _: self.prompter.bring_to_front(),
            Verb.SHOW_PROBLEM: self._show_problem,
            Verb.SHOW_NOTES: self._show_notes,
            Verb.COPY_DIAGNOSTICS: self._copy_diagnostics,
            Verb.SHOW_LOG: self._show_log,
            Verb.CONNECT_GROUP: lambda a: self.orders.connect_group(a.group),
            Verb.DISCONNECT_GROUP: lambda a: self.orders.disconnect_group(a.group),
            Verb.CONNECT_ALL: lambda _: self.orders.manager.connect_all(),
            Verb.DISCONNECT_ALL: lambda _: self.orders.manager.disconnect_all(),
            Verb.EDIT_SERVERS: self._edit_servers,
            Verb.TOGGLE_AUTOSTART: self._toggle_autostart,
            Verb.SHOW_STATUS: lambda _: self.show_status(),
            Verb.QUIT: lambda _: self.quit(),
        }
        try:
            verbs[action.verb](action)
        except ProblemError as error:
            problem = error.problem
            logger.warning("%s: %s", action.verb.value, problem.logged)
            self.notifier.notify(Notice.of("order", problem, asked=True))
        except Exception as error:
            logger.exception("%s failed in a way nobody foresaw", action.verb.value)
            self.notifier.notify(Notice.of("order", unforeseen(error), asked=True))

    def press(self, button: NoticeAction, server: str) -> None:
        """A button of a notice: the same as a line of the menu."""
        self(Action(BUTTONS[button], server))

    def _snapshot(self, action: Action) -> Snapshot:
        snapshot = self.orders.manager.snapshot(action.server)
        if snapshot is None:
            raise ProblemError(
                Problem(f"{action.server} is no longer in the server file", "Add it there again")
            )
        return snapshot

    def _show_problem(self, action: Action) -> None:
        snapshot = self._snapshot(action)
        problem, about = snapshot.problem, snapshot.name
        if action.forward:
            about = f"{snapshot.name}, {action.forward}"
            of_that = (one.problem for one in snapshot.forwards if one.name == action.forward)
            problem = next(of_that, None)
        if problem is None:  # it went away before the click
            return
        parts = (problem.title, problem.advice, problem.detail and f"Details:\n{problem.detail}")
        text = "\n\n".join(part for part in parts if part)
        try:
            self.views.show(f"{about}: what went wrong", report.scrub(text))
        except ProblemError:
            self.notifier.notify(Notice.of(f"problem {about}", problem, asked=True))

    def _show_notes(self, action: Action) -> None:
        snapshot = self._snapshot(action)
        text = report.notes_text(snapshot)
        title = f"{snapshot.name}: notes"
        try:
            self.views.show(title, text)
        except ProblemError:
            self.notifier.notify(Notice(f"notes {snapshot.name}", title, text, asked=True))

    def _copy_diagnostics(self, action: Action) -> None:
        snapshot = self._snapshot(action)
        text = report.server_report(snapshot, logs.read(), report.system_lines())
        self.orders.copy(text)
        self.notifier.notify(
            Notice(
                f"diagnostics {snapshot.name}",
                f"{snapshot.name}: diagnostics copied",
                "They are on the clipboard, without secrets",
                passing=True,
                asked=True,
            )
        )

    def _show_log(self, action: Action) -> None:
        snapshot = self._snapshot(action)
        text = report.log_of(logs.read(), snapshot.name, report.VIEW_RECORDS)
        try:
            self.views.show(
                f"{snapshot.name}: log", text or f"Nothing yet in {logs.log_file()}", at_end=True
            )
        except ProblemError:
            open_in_editor(logs.log_file())

    def _show_jupyter_log(self, action: Action) -> None:
        title = f"{action.server}: Jupyter's log"
        self.stops.read_log(
            action.server,
            lambda text: self.views.show(title, report.scrub(text), at_end=True),
        )

    def _edit_servers(self, _action: Action) -> None:
        self.file.create()
        open_in_editor(self.file.path)

    def _toggle_autostart(self, _action: Action) -> None:
        if self.autostart.is_on():
            self.autostart.turn_off()
        else:
            self.autostart.turn_on()
        self.refresh()
