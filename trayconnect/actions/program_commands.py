"""The commands that concern the program itself, and those that show something."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from trayconnect.actions.dispatcher import Handler, Outcome
from trayconnect.actions.server_commands import ServerCommands
from trayconnect.config.server_file import ServerFile
from trayconnect.control.status_json import to_json
from trayconnect.core import logs
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import JSON, Command
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.notices import Notice, Notifier, show_failure
from trayconnect.core.questions import Prompter
from trayconnect.desktop.autostart.entry import Autostart
from trayconnect.desktop.default_programs import open_in_editor
from trayconnect.desktop.windows.text_view import TextViews
from trayconnect.diagnostics import report
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.tray.display import Display


@dataclass(frozen=True, slots=True)
class ProgramCommands:
    servers: ServerCommands
    file: ServerFile
    autostart: Autostart
    prompter: Prompter
    notifier: Notifier
    views: TextViews
    display: Display
    reload: Callable[[], None]
    """Reads the server file."""
    quit: Callable[[], None]

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {
            "answer": lambda _command, _cancel: self.prompter.bring_to_front(),
            "show-problem": self._show_problem,
            "show-notes": self._show_notes,
            "copy-diagnostics": self._copy_diagnostics,
            "show-log": self._show_log,
            "edit-servers": self._edit_servers,
            "toggle-autostart": self._toggle_autostart,
            "show": lambda _command, _cancel: self.display.second_start(),
            "show-status": lambda _command, _cancel: self.display.show_window(),
            "status": self._status,
            "tray": self._tray,
            "reload": self._reload,
            "quit": lambda _command, _cancel: self.quit(),
            "ping": lambda _command, _cancel: {"file": str(self.file.path)},
        }

    def _snapshot(self, command: Command) -> Snapshot:
        snapshot = self.servers.manager.snapshot(command.server)
        if snapshot is None:
            raise ProblemError(
                Problem(f"{command.server} is no longer in the server file", "Add it there again")
            )
        return snapshot

    def _show_problem(self, command: Command, _cancel: CancelToken) -> None:
        """That of the forward, where one is named."""
        snapshot = self._snapshot(command)
        problem, about = snapshot.problem, snapshot.name
        if forward := command.text("forward"):
            about = f"{snapshot.name}, {forward}"
            problem = next((f.problem for f in snapshot.forwards if f.name == forward), None)
        if problem is None:  # it went away before the click
            return
        parts = (problem.title, problem.advice, problem.detail and f"Details:\n{problem.detail}")
        text = "\n\n".join(part for part in parts if part)
        try:
            self.views.show(f"{about}: what went wrong", report.scrub(text))
        except ProblemError:
            self.notifier.notify(Notice.of(f"problem {about}", problem, asked=True))

    def _show_notes(self, command: Command, _cancel: CancelToken) -> None:
        """The settings of ssh_config that have no effect here, and the banners of the servers."""
        snapshot = self._snapshot(command)
        text = report.notes_text(snapshot)
        title = f"{snapshot.name}: notes"
        try:
            self.views.show(title, text)
        except ProblemError:
            self.notifier.notify(Notice(f"notes {snapshot.name}", title, text, asked=True))

    def _copy_diagnostics(self, command: Command, _cancel: CancelToken) -> None:
        snapshot = self._snapshot(command)
        text = report.server_report(snapshot, logs.read(), report.system_lines())
        self.servers.copy(text)
        self.notifier.notify(
            Notice(
                f"diagnostics {snapshot.name}",
                f"{snapshot.name}: diagnostics copied",
                "They are on the clipboard, without secrets",
                passing=True,
                asked=True,
            )
        )

    def _show_log(self, command: Command, _cancel: CancelToken) -> None:
        snapshot = self._snapshot(command)
        text = report.log_of(logs.read(), snapshot.name, report.VIEW_RECORDS)
        try:
            self.views.show(
                f"{snapshot.name}: log", text or f"Nothing yet in {logs.log_file()}", at_end=True
            )
        except ProblemError:
            self._edit(logs.log_file())

    def _edit_servers(self, _command: Command, _cancel: CancelToken) -> None:
        self.file.create()
        self._edit(self.file.path)

    def _edit(self, path: Path) -> None:
        open_in_editor(
            path, on_failure=partial(show_failure, self.notifier, "command", "the editor")
        )

    def _toggle_autostart(self, _command: Command, _cancel: CancelToken) -> None:
        if self.autostart.is_on():
            self.autostart.turn_off()
        else:
            self.autostart.turn_on()
        self.display.refresh()

    def _status(self, command: Command, _cancel: CancelToken) -> Outcome:
        """Of one server, if it is named."""
        if command.server:
            return self.servers.snapshot(command.server)
        return to_json(self.servers.manager.snapshots(), self.file.problem)

    def _tray(self, _command: Command, _cancel: CancelToken) -> Mapping[str, JSON] | None:
        report = self.display.report()
        if report is None:
            return None
        told = {"way": report.kind.value, "reason": report.reason, "host": report.host}
        return {**told, "shown": report.shown}

    def _reload(self, _command: Command, _cancel: CancelToken) -> Mapping[str, JSON]:
        self.reload()
        if self.file.problem is not None:
            raise ProblemError(self.file.problem)
        return {"servers": len(self.file.config.servers)}
