"""Makes and connects the parts of the running program: the one place where all folders meet."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING

from trayconnect.actions.dispatcher import Dispatcher
from trayconnect.actions.file_reload import FileReload
from trayconnect.actions.program_commands import ProgramCommands
from trayconnect.actions.server_commands import SETTLE_LIMIT, ServerCommands
from trayconnect.actions.terminals import open_terminal_on
from trayconnect.alerts.scheduler import AlertScheduler
from trayconnect.app.late_imports import import_early
from trayconnect.config.file_watcher import FileWatcher
from trayconnect.config.places import config_file, ssh_config_file
from trayconnect.config.server_file import ServerFile
from trayconnect.control.lock import InstanceLock
from trayconnect.control.server import ControlServer
from trayconnect.core import logs
from trayconnect.core.command import Command
from trayconnect.core.errors import ProblemError
from trayconnect.core.notices import show_failure
from trayconnect.core.page import NoBrowser
from trayconnect.core.subprocesses import path_for_others
from trayconnect.desktop.autostart.entry import autostart, refresh_quietly
from trayconnect.desktop.clipboard import Clipboard
from trayconnect.desktop.default_programs import SystemBrowser
from trayconnect.desktop.events.network import NetworkWatcher
from trayconnect.desktop.events.power import WakeWatcher, make_activity
from trayconnect.desktop.notifications.notifier import DesktopNotifier
from trayconnect.desktop.programs import stop_watching
from trayconnect.desktop.prompts.prompter import prompter
from trayconnect.desktop.secrets import KeyringSecrets
from trayconnect.desktop.windows.text_view import TextViews
from trayconnect.diagnostics.report import scrub
from trayconnect.forwarding.forwarding import listen
from trayconnect.services.kinds import KINDS, Services
from trayconnect.services.protocol import Desktop
from trayconnect.sessions.dependencies import Dependencies
from trayconnect.sessions.manager import Manager
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.ssh.config.ssh_config import SshConfig
from trayconnect.ssh.connector import SshConnector
from trayconnect.ssh.hostkeys.known_hosts_store import KnownHosts
from trayconnect.tray.display import Display
from trayconnect.tray.icon import icons_folder

if TYPE_CHECKING:
    from trayconnect.app.program import Options


class Parts:
    """Everything but the icon. The constructor starts nothing."""

    def __init__(
        self,
        options: Options,
        display: Display,
        notifier: DesktopNotifier,
        quit: Callable[[], None],  # noqa: A002 - the command's name
    ) -> None:
        self._options = options
        self._display = display
        self._file = ServerFile(config_file(options.config))
        self._autostart = autostart()
        ssh_config = ssh_config_file(options.ssh_config)
        app_icon = icons_folder() / "trayconnect.png"
        asking = prompter(not options.tray, app_icon, logs.quiet)
        late = partial(show_failure, notifier, "command", "a program that was started")
        self._browser = SystemBrowser(on_failure=late) if options.browser else None
        browser = self._browser or NoBrowser()
        self._clipboard = Clipboard(on_failure=late)
        self._views = TextViews(str(app_icon))
        self._activity = make_activity()
        ssh = SshConnector(
            KeyringSecrets(),
            known_hosts=KnownHosts.default(options.known_hosts),
            ssh_config=lambda: SshConfig(ssh_config),
            servers=lambda: self._file.config.servers,
        )
        desktop = Desktop(
            browser,
            notifier,
            asking,
            lambda title, text: self._views.show(title, scrub(text), at_end=True),
        )
        self.manager = Manager(
            Dependencies(
                connector=lambda server: KINDS[server.kind].connector or ssh,
                listen=listen,
                prompter=asking,
                browser=browser,
                services=Services(desktop),
            ),
            AlertScheduler(notifier),
            on_change=self._changed,
        )
        self._servers = ServerCommands(
            self.manager,
            browser,
            self._clipboard.copy,
            lambda: self._file.config,
            lambda server: open_terminal_on(server, ssh_config, late),
        )
        self._wake = WakeWatcher(self.manager.woke)
        self._network = NetworkWatcher(self.manager.network_changed)
        self._reload = FileReload(
            self._file, self.manager.apply, display.refresh, notifier, options.say
        )
        program = ProgramCommands(
            self._servers,
            self._file,
            self._autostart,
            asking,
            notifier,
            self._views,
            display,
            reload=self._reload.again,
            quit=quit,
        )
        self.dispatcher = Dispatcher(notifier, self._servers.handlers, program.handlers)

    def start(self, stack: ExitStack, lock: InstanceLock) -> None:
        """`stack` ends everything in the opposite order. Raises `ProblemError`."""
        options = self._options
        created = self._file.create()
        # It watches before the file is read, so that no change is missed.
        watcher = FileWatcher(self._file.path, self._reload.again)
        self._file.read()
        if self._file.problem is not None and (options.connect or not options.tray):
            raise ProblemError(self._file.problem)
        if created:
            options.say(f"Write your servers into {path_for_others(self._file.path)}")
        # A misspelt one ends the program before anything begins.
        named = [self._servers.find(name).name for name in options.connect]
        for closable in (self._browser, self._clipboard, self._views):
            if closable is not None:
                stack.enter_context(closing(closable))
        stack.callback(stop_watching)
        stack.callback(self._wake.stop)
        self.manager.start()
        stack.callback(self.manager.close)
        self._display.follow(self.manager.snapshots, self._file, self._autostart)
        # Before the manager: a click there would wait for it.
        stack.callback(self._display.close_window)
        self._reload.first()
        self.manager.settle(SETTLE_LIMIT)  # the first command finds the servers
        control = ControlServer(lock, self.dispatcher.answer)
        for startable in (self._display, self._network, watcher, control):
            startable.start()
            stack.callback(startable.stop)
        if self._file.problem is not None:
            options.say(str(self._file.problem))
            self._reload.tell_problem()
        if options.tray and options.refresh_autostart:
            refresh_quietly(self._autostart)
        import_early()
        at_once = [s.name for s in self._file.config.servers if s.connect_on_start]
        for name in (*at_once, *named):
            self.manager.do(Command("connect", name))

    def _changed(self, snapshots: tuple[Snapshot, ...]) -> None:
        is_active = any(snapshot.is_active for snapshot in snapshots)
        self._activity.hold(is_active)
        (self._wake.start if is_active else self._wake.stop)()
        self._display.refresh()
        self._options.on_change(snapshots)
