"""The life of the running program.

A second start hands over to the first one, and imports only what that takes. The first one shows
the icon, and meanwhile imports and starts the rest (`wiring`) on another thread."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trayconnect.app.clicks import Clicks
from trayconnect.app.ending import Ending
from trayconnect.control.client import ControlClient, claim
from trayconnect.control.lock import InstanceLock
from trayconnect.control.place import runtime_folder
from trayconnect.control.protocol import Reply
from trayconnect.core.abandonable import Background
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import Command
from trayconnect.desktop.windows_console import before_console_ends

if TYPE_CHECKING:
    from trayconnect.app.wiring import Parts
    from trayconnect.desktop.notifications.notifier import DesktopNotifier
    from trayconnect.sessions.snapshot import Snapshot
    from trayconnect.tray.display import Display
    from trayconnect.tray.tray_icon import Tray

logger = logging.getLogger(__name__)

SESSION_END_LIMIT = 4.0
"""Seconds to disconnect in while Windows ends the user's session: it waits for 5."""
ICON_LIMIT = 0.5
"""Seconds that the rest of the program waits for the icon, so that it does not slow that down."""
END_LIMIT = 60.0
"""Seconds for everything to end after the icon is gone."""


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
    """Prints a line for a person at the terminal."""


class App:
    """Runs once, until `stop`, which may be called from any thread and at any time."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._clicks = Clicks(self._carry_out)
        self._ending = Ending(lambda: self._display.remove_icon())
        self._notifier: DesktopNotifier
        self._display: Display
        self._parts: Parts | None = None

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
            self._make_display()
            stack.enter_context(self._ending.handling())
            self._clicks.start()
            if self._options.tray:
                self._display.open(
                    self._clicks.submit,
                    at_login=self._options.at_login,
                    on_session_end=self._end_now,
                )
            if self._display.tray is None:
                self._serve(lock, self._ending.wait)
            else:
                self._run_icon(self._display.tray, lock)
        return None

    def _make_display(self) -> None:
        from trayconnect.desktop.notifications.notifier import make_notifier
        from trayconnect.tray.display import Display
        from trayconnect.tray.icon import icons_folder

        self._notifier = make_notifier(
            self._clicks.submit,
            icons_folder() / "trayconnect.png",
            (lambda *texts: self._display.notify(*texts)) if sys.platform == "win32" else None,
        )
        self._display = Display(self._notifier, self._options.say)

    def _run_icon(self, tray: Tray, lock: InstanceLock) -> None:
        icon_gone = threading.Event()

        def serve() -> None:
            self._display.wait_shown(ICON_LIMIT)
            self._serve(lock, icon_gone.wait)

        rest = Background(serve, "tc-app")
        try:
            if not self._ending.has_begun():
                tray.run()
        finally:
            icon_gone.set()
            rest.result(CancelToken(), END_LIMIT)

    def _serve(self, lock: InstanceLock, wait: Callable[[], object]) -> None:
        """Start everything but the icon, `wait`, and end it in the opposite order."""
        with ExitStack() as stack:
            try:
                stack.enter_context(closing(self._notifier))
                if self._ending.has_begun():
                    return
                from trayconnect.app.wiring import Parts

                self._parts = Parts(self._options, self._display, self._notifier, self.stop)
                if self._ending.has_begun():  # the imports take most of the start
                    return
                self._parts.start(stack, lock)
                stack.enter_context(before_console_ends(self._end_now))
                wait()
            except BaseException:
                self.stop("it cannot start")
                raise
            finally:
                self._clicks.stop()

    def _carry_out(self, command: Command) -> None:
        if self._parts is not None:
            self._parts.dispatcher.click(command)
        elif command.name == "quit":
            self.stop()

    def _end_now(self) -> None:
        """Windows ends the user's session, and this process when this returns."""
        logger.info("stopping: the user's session ends")
        if self._parts is not None:
            self._parts.manager.close(SESSION_END_LIMIT)
