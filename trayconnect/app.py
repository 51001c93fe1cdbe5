"""The running program: the one place where all folders meet."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from trayconnect.actions.every_command import make_dispatcher
from trayconnect.actions.file_reload import FileReload
from trayconnect.actions.server_commands import ServerCommands
from trayconnect.actions.terminals import open_terminal_on
from trayconnect.alerts.scheduler import AlertScheduler
from trayconnect.config.file_watcher import FileWatcher
from trayconnect.config.model import Server
from trayconnect.config.places import config_file, ssh_config_file
from trayconnect.config.server_file import ServerFile
from trayconnect.control.client import ControlClient
from trayconnect.control.handover import claim
from trayconnect.control.lock import InstanceLock
from trayconnect.control.place import runtime_folder
from trayconnect.control.protocol import Reply
from trayconnect.control.server import ControlServer
from trayconnect.core import logs
from trayconnect.core.ending import Ending
from trayconnect.core.errors import ProblemError
from trayconnect.core.late_imports import import_early
from trayconnect.core.page import Browser, NoBrowser
from trayconnect.core.subprocesses import path_for_others
from trayconnect.desktop.autostart.entry import autostart, refresh_quietly
from trayconnect.desktop.browser import SystemBrowser
from trayconnect.desktop.clipboard import Clipboard
from trayconnect.desktop.console_end import before_console_ends
from trayconnect.desktop.events.network import NetworkWatcher
from trayconnect.desktop.events.system_activity import make_activity
from trayconnect.desktop.events.wake import WakeWatcher
from trayconnect.desktop.notifications.notifier import make_notifier
from trayconnect.desktop.prompts.prompter import prompter
from trayconnect.desktop.secrets import KeyringSecrets
from trayconnect.desktop.windows.text_view import TextViews
from trayconnect.forwarding.forwarding import listen
from trayconnect.services.jupyter.selection_store import StoredChoices, choices_file
from trayconnect.services.jupyter.service import over_links
from trayconnect.services.kinds import Kinds
from trayconnect.services.protocol import Desktop
from trayconnect.services.webpage.direct import DirectConnector
from trayconnect.sessions.dependencies import Connector, Dependencies
from trayconnect.sessions.manager import Manager
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.ssh.config.ssh_config import SshConfig
from trayconnect.ssh.connector import SshConnector
from trayconnect.ssh.hostkeys.known_hosts_store import KnownHosts
from trayconnect.tray.display import Display
from trayconnect.tray.icon import icons_folder
from trayconnect.tray.tray_icon import Tray

logger = logging.getLogger(__name__)

SESSION_END_LIMIT = 4.0
"""Seconds to disconnect in while Windows ends the user's session: it waits for 5."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to run. None stands for the default place."""

    config: Path | None = None
    known_hosts: Path | None = None
    """Our own file of host keys."""
    ssh_config: Path | None = None
    """In place of OpenSSH's usual files; `none` for no file at all."""
    runtime: Path | None = None
    """The folder of the lock and the control socket."""
    tray: bool = True
    at_login: bool = False
    """Whether the desktop starts it, and may start its panel later."""
    browser: bool = True
    """Whether pages are opened."""
    connect: tuple[str, ...] = ()
    """Names of servers to connect at once."""
    refresh_autostart: bool = True
    """Whether an entry that starts another installation at login is made to start this one."""
    on_change: Callable[[tuple[Snapshot, ...]], None] = lambda _: None
    """Called with all snapshots, on the manager's thread, after anything changed."""
    say: Callable[[str], None] = lambda _: None
    """Told, in a line, what a person at the terminal should know."""


class App:
    """Runs once, until `stop`, which may be called from any thread and at any time."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._file = ServerFile(config_file(options.config))
        self._autostart = autostart()
        self._notifier = make_notifier(
            lambda command: self._dispatcher.click(command),
            icons_folder() / "trayconnect.png",
            (lambda *texts: self._display.notify(*texts)) if sys.platform == "win32" else None,
        )
        self._display = Display(
            lambda: self._manager.snapshots(),
            self._file,
            self._autostart,
            self._notifier,
            options.say,
        )
        self._ending = Ending(self._display.remove_icon)

    def stop(self, reason: str = "told to quit") -> None:
        """Disconnect everything and let `run` return; itself returns at once. `reason` is for the
        log."""
        self._ending.ask(reason)

    def run(self) -> Reply | None:
        """Run on the calling thread, which must be the main one.

        Returns None at the end, or at once the reply of the program that runs already. Raises
        `ProblemError` when it cannot begin."""
        folder = self._options.runtime or runtime_folder()
        lock = InstanceLock(folder)
        reply = claim(lock, ControlClient(folder))
        if reply is not None:
            return reply
        with ExitStack() as stack:
            stack.callback(lock.release)
            stack.enter_context(self._ending.handling())
            tray = self._build(stack, lock)
            stack.enter_context(before_console_ends(self._end_now))
            if tray is None:
                self._ending.wait()
            elif not self._ending.has_begun:
                tray.run()
        return None

    def _build(self, stack: ExitStack, lock: InstanceLock) -> Tray | None:
        """Start everything; `stack` ends it in the opposite order."""
        options = self._options
        created = self._file.create()
        # It watches before the file is read, so that no change is missed.
        watcher = FileWatcher(self._file.path, lambda: self._file_reload.again())
        self._file.read()
        if self._file.problem is not None and (options.connect or not options.tray):
            raise ProblemError(self._file.problem)
        if created:
            options.say(f"Write your servers into {path_for_others(self._file.path)}")

        stack.enter_context(closing(self._notifier))
        browser: Browser = NoBrowser()
        if options.browser:
            browser = stack.enter_context(closing(SystemBrowser()))
        clipboard = stack.enter_context(closing(Clipboard()))
        known_hosts = KnownHosts.default(options.known_hosts)
        ssh_config = ssh_config_file(options.ssh_config)
        ssh = SshConnector(
            KeyringSecrets(),
            known_hosts=known_hosts,
            ssh_config=lambda: SshConfig(ssh_config),
            servers=lambda: self._file.config.servers,
        )
        direct = DirectConnector()
        choices = StoredChoices(choices_file())

        def connector(server: Server) -> Connector:
            return direct if server.is_direct else ssh

        app_icon = icons_folder() / "trayconnect.png"
        asking = prompter(not options.tray, app_icon, logs.quiet)
        peers = Dependencies(
            connector=connector,
            listen=listen,
            prompter=asking,
            browser=browser,
            services=Kinds(Desktop(browser, self._notifier), over_links(choices)),
        )
        self._manager = Manager(peers, AlertScheduler(self._notifier), on_change=self._changed)
        servers = ServerCommands(
            self._manager,
            browser,
            clipboard.copy,
            lambda: self._file.config,
            choices,
            lambda server: open_terminal_on(server, ssh_config),
        )
        # A misspelt one ends the program before anything begins.
        named = [servers.find(name).name for name in options.connect]
        self._activity = make_activity()
        self._wake = WakeWatcher(self._manager.woke)
        stack.callback(self._wake.stop)
        network = NetworkWatcher(self._manager.network_changed)
        display = self._display
        reload = self._file_reload = FileReload(
            self._file, self._manager.apply, display.refresh, self._notifier, options.say
        )
        views = stack.enter_context(closing(TextViews(str(app_icon))))
        self._dispatcher = make_dispatcher(
            servers,
            self._file,
            self._autostart,
            asking,
            self._notifier,
            views,
            display,
            reload=reload.again,
            quit=self.stop,
        )
        stack.callback(self._dispatcher.close)
        control = ControlServer(lock, self._dispatcher.answer)
        if options.tray:
            display.open(
                self._dispatcher.click,
                app_icon,
                at_login=options.at_login,
                on_session_end=self._end_now,
            )
        self._manager.start()
        stack.callback(self._manager.close)
        stack.callback(display.close_window)  # before the manager: a click there would wait for it
        reload.first()
        for startable in (display, network, watcher, control):
            startable.start()
            stack.callback(startable.stop)
        if self._file.problem is not None:
            options.say(str(self._file.problem))
            reload.tell_problem()
        if options.tray and options.refresh_autostart:
            refresh_quietly(self._autostart)
        import_early()
        at_once = [s.name for s in self._file.config.servers if s.connect_on_start]
        for name in (*at_once, *named):
            self._manager.connect(name)
        return display.tray

    def _end_now(self) -> None:
        """Windows ends the user's session, and this process when this returns."""
        logger.info("stopping: the user's session ends")
        self._manager.close(SESSION_END_LIMIT)

    def _changed(self, snapshots: tuple[Snapshot, ...]) -> None:
        is_active = any(snapshot.is_active for snapshot in snapshots)
        self._activity.hold(is_active)
        (self._wake.start if is_active else self._wake.stop)()
        self._display.refresh()
        self._options.on_change(snapshots)
