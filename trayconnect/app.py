"""The running program: the one place where the rooms meet."""

from __future__ import annotations

import logging
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from trayconnect.actions.dispatcher import Dispatcher
from trayconnect.actions.jupyter_commands import JupyterCommands
from trayconnect.actions.jupyter_stop import JupyterStops
from trayconnect.actions.program_commands import ProgramCommands
from trayconnect.actions.server_commands import ServerCommands
from trayconnect.actions.terminals import open_terminal_on
from trayconnect.alerts.delivery import NoticeAlerts
from trayconnect.config.file_problems import ConfigError
from trayconnect.config.file_watcher import FileWatcher
from trayconnect.config.model import Server
from trayconnect.config.places import config_file, ssh_config_file
from trayconnect.config.server_file import SHOWN, ServerFile
from trayconnect.control.client import ControlClient
from trayconnect.control.handover import claim
from trayconnect.control.lock import InstanceLock
from trayconnect.control.place import runtime_folder
from trayconnect.control.protocol import Reply
from trayconnect.control.server import ControlServer
from trayconnect.core import logs
from trayconnect.core.clock import SystemClock
from trayconnect.core.coalescer import Coalescer
from trayconnect.core.command import Command
from trayconnect.core.errors import ProblemError
from trayconnect.core.late_imports import import_early
from trayconnect.core.notices import EDIT, Notice
from trayconnect.core.page import Browser, NoBrowser
from trayconnect.core.subprocesses import path_for_others
from trayconnect.desktop.autostart.entry import autostart, refresh_quietly
from trayconnect.desktop.browser import SystemBrowser
from trayconnect.desktop.clipboard import Clipboard
from trayconnect.desktop.console_end import before_console_ends
from trayconnect.desktop.events.activity import make_activity
from trayconnect.desktop.events.network import NetworkWatcher
from trayconnect.desktop.events.wake import WakeWatcher
from trayconnect.desktop.notifications.notifier import DesktopNotifier, make_notifier
from trayconnect.desktop.popup.popup_menu import TkPopupMenu
from trayconnect.desktop.prompts.prompter import prompter
from trayconnect.desktop.secrets import KeyringSecrets
from trayconnect.desktop.windows.status import StatusWindow, can_show
from trayconnect.desktop.windows.text_view import TextViews
from trayconnect.diagnostics.key_check import exposed, key_warnings
from trayconnect.forwarding.forwarding import listen
from trayconnect.services.jupyter.selection_store import StoredChoices, choices_file
from trayconnect.services.jupyter.service import over_links
from trayconnect.services.kinds import Kinds
from trayconnect.services.protocol import Desktop
from trayconnect.services.webpage.direct import DirectConnector
from trayconnect.sessions.dependencies import Connector
from trayconnect.sessions.manager import Manager
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.sessions.worker import Dependencies
from trayconnect.ssh.config.ssh_config import SshConfig
from trayconnect.ssh.connector import SshConnector
from trayconnect.ssh.hostkeys.known_hosts_store import KnownHosts
from trayconnect.tray.backends.backend import make_tray
from trayconnect.tray.icon import icons_folder
from trayconnect.tray.icon_place import COMMANDS, IconPlace
from trayconnect.tray.menu import MenuFacts, build_view
from trayconnect.tray.status_view import icons, status_page
from trayconnect.tray.tray_icon import Tray

logger = logging.getLogger(__name__)

SIGNAL_PAUSE = 0.5 if sys.platform == "win32" else threading.TIMEOUT_MAX
"""Seconds between two looks for a signal: on Windows, Ctrl+C does not end a wait by itself."""
SESSION_END_LIMIT = 4.0
"""Seconds to disconnect in while Windows ends the user's session: it waits for 5."""
STOP_LIMIT = 5.0
"""Seconds to wait for the thread that takes the icon away."""
REST_PER_LINE = 0.0005
"""Seconds between two pictures of the menu, for each of its lines: the panel and we take about a
third of that to draw one (measured with 1,500 lines)."""
FILE_NOTICE = "file"
"""The tag of what is told of the server file."""


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
        self._stops: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._refresher = Coalescer(self._redraw)
        self._tray: Tray | None = None
        self._window: StatusWindow | None = None
        self._key_warnings: set[str] = set()
        """Those of the file as it is."""

    def stop(self, reason: str = "told to quit") -> None:
        """Disconnect everything and let `run` return; itself returns at once. `reason` is for the
        log."""
        # A signal's handler interrupts the main thread anywhere, maybe while it holds a lock that
        # stopping needs; putting something into a SimpleQueue is safe even then.
        self._stops.put(reason)

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
            stack.enter_context(self._stoppable())
            stack.enter_context(self._signals())
            self._build(stack, lock)
            stack.enter_context(before_console_ends(self._end_now))
            self._serve()
        return None

    # --- building and running ---

    def _build(self, stack: ExitStack, lock: InstanceLock) -> None:
        """Start the rooms; `stack` ends them in the opposite order."""
        options = self._options
        created = self._file.create()
        watcher = FileWatcher(self._file.path, self._reload)  # before the file is read
        self._file.read()
        if self._file.problem is not None and (options.connect or not options.tray):
            raise ProblemError(self._file.problem)
        if created:
            options.say(f"Write your servers into {path_for_others(self._file.path)}")

        self._notifier = stack.enter_context(closing(self._make_notifier()))
        browser = self._make_browser(stack)
        clipboard = stack.enter_context(closing(Clipboard()))
        known_hosts = KnownHosts.default()
        if options.known_hosts is not None:
            known_hosts = replace(known_hosts, own=options.known_hosts)
        ssh_config = ssh_config_file(options.ssh_config)
        ssh = SshConnector(
            KeyringSecrets(), known_hosts=known_hosts, ssh_config=lambda: SshConfig(ssh_config)
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
            additions=lambda server, cancel: ssh.additions(
                server, self._file.config.servers, cancel
            ),
        )
        self._manager = Manager(
            peers, SystemClock(), NoticeAlerts(self._notifier), on_change=self._changed
        )
        servers = ServerCommands(
            self._manager,
            browser,
            clipboard.copy,
            lambda: self._file.config,
            choices,
            lambda server: open_terminal_on(server, ssh_config),
        )
        for name in options.connect:
            servers.find(name)  # a misspelt one ends it before anything begins
        self._activity = make_activity()
        self._wake = WakeWatcher(self._manager.woke)
        stack.callback(self._wake.stop)
        network = NetworkWatcher(self._manager.network_changed)
        self._place = IconPlace(self._show_status, self._notifier, options.say)
        views = stack.enter_context(closing(TextViews(str(app_icon))))
        jupyter = JupyterCommands(servers)
        stops = stack.enter_context(closing(JupyterStops(jupyter, asking, self._notifier)))
        program = ProgramCommands(
            servers,
            stops,
            self._file,
            self._autostart,
            asking,
            self._notifier,
            views,
            refresh=self._refresher.ask,
            reload=self._reload,
            show=lambda: self._place.asked(self._tray),
            show_status=self._show_status,
            tray=lambda: None if self._tray is None else self._tray.report(),
            quit=self.stop,
        )
        self._dispatcher = Dispatcher(
            self._notifier, servers.handlers, jupyter.handlers, stops.handlers, program.handlers
        )
        control = ControlServer(lock, self._dispatcher.answer)
        if options.tray:
            self._window = StatusWindow(self._dispatcher.click, icons, app_icon)
            self._tray = self._make_tray(self._dispatcher.click)
        self._manager.start()
        stack.callback(self._manager.close)
        if self._window is not None:  # before the manager: a click there would wait for it
            stack.callback(self._window.close)
        self._manager.apply(self._file.config)
        self._warn_of_keys()
        self._refresher.ask()
        for startable in (self._refresher, network, watcher, control):
            startable.start()
            stack.callback(startable.stop)
        if self._file.problem is not None:
            options.say(str(self._file.problem))
            self._tell_file_problem()
        if options.tray and options.refresh_autostart:
            refresh_quietly(self._autostart)
        import_early()
        for server in self._file.config.servers:
            if server.connect_on_start:
                self._manager.connect(server.name)
        for name in options.connect:
            self._manager.connect(servers.find(name).name)

    def _make_notifier(self) -> DesktopNotifier:
        return make_notifier(
            lambda command: self._dispatcher.click(command),
            icons_folder() / "trayconnect.png",
            self._notify_by_icon if sys.platform == "win32" else None,
        )

    def _notify_by_icon(self, message: str, title: str) -> None:
        if self._tray is not None:
            self._tray.notify(message, title)

    def _make_browser(self, stack: ExitStack) -> Browser:
        if self._options.browser:
            return stack.enter_context(closing(SystemBrowser()))
        return NoBrowser()

    def _make_tray(self, click: Callable[[Command], None]) -> Tray | None:
        try:
            tray = make_tray(
                click,
                self._place.missing,
                TkPopupMenu(),
                by_hand=not self._options.at_login,
                on_host=self._place.shown,
                on_session_end=self._end_now,
            )
        except ProblemError as error:
            logger.warning("no tray: %s", error.problem.logged)
            self._options.say(f"{error.problem.title}. {COMMANDS}. Ctrl+C ends trayconnect.")
            return None
        if sys.platform in ("darwin", "win32"):
            self._place.shown()
        return tray

    def _end_now(self) -> None:
        """Windows ends the user's session, and this process when this returns."""
        logger.info("stopping: the user's session ends")
        self._manager.close(SESSION_END_LIMIT)

    def _serve(self) -> None:
        if self._tray is None:
            while not self._stopping.wait(SIGNAL_PAUSE):
                pass
        elif not self._stopping.is_set():
            self._tray.run()

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        """Let `stop` have its effect, on a thread of its own."""
        thread = threading.Thread(target=self._await_stop, name="tc-stop", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stops.put(None)
            thread.join(STOP_LIMIT)

    def _await_stop(self) -> None:
        reason = self._stops.get()
        if reason is None:
            return
        logger.info("stopping: %s", reason)
        self._stopping.set()
        if self._tray is not None:
            try:
                self._tray.stop()
            except Exception:  # our bug; what has no icon ends all the same
                logger.exception("the icon could not be taken away")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """End the program in good order on the signals that ask for that."""

        def on_signal(number: int, _frame: object) -> None:
            self.stop(f"signal {number}")

        names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
        numbers = [signal.Signals[name] for name in names if hasattr(signal, name)]
        before = {number: signal.signal(number, on_signal) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    # --- what changed ---

    def _changed(self, snapshots: tuple[Snapshot, ...]) -> None:
        is_active = any(snapshot.is_active for snapshot in snapshots)
        self._activity.hold(is_active)
        if is_active:
            self._wake.start()
        else:
            self._wake.stop()
        self._refresher.ask()
        self._options.on_change(snapshots)

    def _redraw(self) -> float:
        """Show what is known now; on the refresher's thread. Returns the rest it needs."""
        if self._tray is None or self._window is None:
            return 0.0
        snapshots, facts = self._manager.snapshots(), self._facts()
        view = build_view(snapshots, facts)
        self._tray.show(view)
        if self._window.is_open:
            self._window.update(status_page(snapshots, facts))
        return REST_PER_LINE * view.lines

    def _facts(self) -> MenuFacts:
        return MenuFacts(
            autostart=self._autostart.is_on(),
            file_problems=self._file.problems,
            file_in_force=self._file.is_loaded,
            window=can_show(),
        )

    def _reload(self) -> None:
        """The file was saved."""
        if self._file.read():
            self._notifier.withdraw(FILE_NOTICE)
            self._manager.apply(self._file.config)
            self._warn_of_keys(saved=True)
        else:
            self._tell_file_problem()
        self._refresher.ask()

    def _warn_of_keys(self, *, saved: bool = False) -> None:
        """In the log; and what is new on the screen too, if the user saved the file just now.
        Whoever connects such a server is told then."""
        self._warn_of_writers()
        try:
            warnings = key_warnings(self._file.config, self._file.path)
        except ConfigError:
            return  # it changed meanwhile, and is read again
        fresh = [warning for warning in warnings if warning.message not in self._key_warnings]
        self._key_warnings = {warning.message for warning in warnings}
        for warning in fresh:
            logger.warning("%s", warning)
        if fresh and saved:
            lines = "\n".join(warning.message for warning in fresh[:SHOWN])
            title = "A key cannot log in as it is"
            self._notifier.notify(Notice("keys", title, lines, buttons=(EDIT,)))

    def _warn_of_writers(self) -> None:
        """Other users who can change the server file."""
        warnings = exposed(self._file.path)
        for warning in warnings:
            logger.warning("%s", warning)
            self._options.say(warning.message)
        if warnings:
            lines = "\n".join(warning.message for warning in warnings[:SHOWN])
            title = "Other users can change your server file"
            self._notifier.notify(Notice("exposed", title, lines, buttons=(EDIT,)))
        else:
            self._notifier.withdraw("exposed")

    def _tell_file_problem(self) -> None:
        problem = self._file.problem
        if problem is not None:
            lines = "\n".join(self._file.problems[:SHOWN])  # without the path: room is scarce
            title = problem.title.partition(";")[0]  # bubbles cut the rest
            notice = Notice.of(FILE_NOTICE, problem, buttons=(EDIT,))
            self._notifier.notify(replace(notice, title=title, body=lines))

    def _show_status(self) -> None:
        """Open the window that shows what the menu shows. Raises `ProblemError`."""
        assert self._window is not None
        self._window.update(status_page(self._manager.snapshots(), self._facts()))
        self._window.show()
