"""What the running program shows: the icon, its menu and the status window.

The icon appears before the server file is read, so this module imports nothing slow."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from trayconnect.core.command import Command
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.notices import Notifier
from trayconnect.desktop import helper_process
from trayconnect.desktop.windows.popup_menu import TkPopupMenu
from trayconnect.desktop.windows.status import StatusWindow
from trayconnect.tray.backends.backend import make_tray
from trayconnect.tray.backends.choice import TrayReport
from trayconnect.tray.icon import icons, icons_folder
from trayconnect.tray.icon_place import COMMANDS, IconPlace
from trayconnect.tray.tray_icon import Tray
from trayconnect.tray.view import Item, View

if TYPE_CHECKING:
    from trayconnect.config.server_file import ServerFile
    from trayconnect.desktop.autostart.entry import Autostart
    from trayconnect.sessions.snapshot import Snapshot
    from trayconnect.tray.menu import MenuFacts

logger = logging.getLogger(__name__)

STARTING = View(
    title="trayconnect: starting",
    items=(Item("starting", "Starting…", enabled=False), Item("quit", "Quit", Command("quit"))),
)
REST_PER_LINE = 0.0005
"""Seconds between two pictures of the menu, for each of its lines: the panel and we take about a
third of that to draw one (measured with 1,500 lines)."""

JOIN_LIMIT = 5.0
AFTER_FAILURE = 0.1
"""Pause in seconds after a call that raised."""


class Coalescer:
    """Calls `work` on a thread of its own ("tc-refresh"), at least once after each `ask`. Requests
    that arrive while it runs share one more call. `work` returns the pause in seconds before the
    next call; a request that comes after the pause is served at once."""

    def __init__(self, work: Callable[[], float]) -> None:
        self._work = work
        self._asked = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tc-refresh", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask(self) -> None:
        """Request a call. From any thread, also before `start`; returns at once."""
        self._asked.set()

    def stop(self) -> None:
        """End and join the thread; drop a request that has not begun."""
        self._stopping.set()
        self._asked.set()
        self._thread.join(JOIN_LIMIT)
        if self._thread.is_alive():
            logger.warning("a refresh is still under way after %g s", JOIN_LIMIT)

    def _run(self) -> None:
        while True:
            self._asked.wait()
            if self._stopping.is_set():
                return
            self._asked.clear()
            try:
                rest = self._work()
            except Exception:  # a bug of ours; the next call may succeed
                logger.exception("a refresh failed")
                rest = AFTER_FAILURE
            self._stopping.wait(rest)


Known = Callable[[], "tuple[tuple[Snapshot, ...], MenuFacts]"]


class Display:
    """Shows nothing until `open`, and `STARTING` until `follow`. From any thread."""

    def __init__(self, notifier: Notifier, say: Callable[[str], object]) -> None:
        self._say = say
        self._place = IconPlace(self.show_window, notifier, say)
        self._coalescer = Coalescer(self._draw)
        self._tray: Tray | None = None
        self._window: StatusWindow | None = None
        self._shown = threading.Event()
        self._lock = threading.Lock()
        self._known: Known | None = None
        self._is_missing = False
        """Whether no panel has taken the icon, and the user does not know yet."""

    def open(
        self,
        click: Callable[[Command], object],
        *,
        at_login: bool,
        on_session_end: Callable[[], object],
    ) -> None:
        """Make the icon, and the window, which is still hidden. On the main thread."""
        self._window = StatusWindow(click, icons, icons_folder() / "trayconnect.png")
        try:
            self._tray = make_tray(
                click,
                self._on_missing,
                TkPopupMenu(),
                by_hand=not at_login,
                on_shown=self._on_shown,
                on_session_end=on_session_end,
            )
        except ProblemError as error:
            logger.warning("no tray: %s", error.problem.logged)
            self._say(f"{error.problem.title}. {COMMANDS}. Ctrl+C ends trayconnect.")
            return
        self._tray.show(STARTING)

    def wait_shown(self, limit: float) -> None:
        """Wait at most `limit` seconds until the icon is on the screen."""
        self._shown.wait(limit)

    def follow(
        self,
        snapshots: Callable[[], tuple[Snapshot, ...]],
        file: ServerFile,
        autostart: Autostart,
    ) -> None:
        """Show these from now on, after each `refresh`."""
        from trayconnect.tray.menu import MenuFacts

        def known() -> tuple[tuple[Snapshot, ...], MenuFacts]:
            return snapshots(), MenuFacts(
                autostart=autostart.is_on(),
                file_problems=file.problems,
                file_in_force=file.is_loaded,
                window=helper_process.can_show_windows(),
            )

        with self._lock:
            self._known = known
            is_missing = self._is_missing
        if is_missing:
            self._place.missing()

    @property
    def tray(self) -> Tray | None:
        """None without an icon."""
        return self._tray

    def remove_icon(self) -> None:
        """Never raises."""
        if self._tray is not None:
            try:
                self._tray.stop()
            except Exception:  # a bug of ours; the program ends anyway
                logger.exception("the icon could not be taken away")

    def start(self) -> None:
        if self._window is not None:
            self._coalescer.start()

    def stop(self) -> None:
        if self._window is not None:
            self._coalescer.stop()

    def refresh(self) -> None:
        """Show soon what is known then; returns at once."""
        self._coalescer.ask()

    def show_window(self) -> None:
        """Open the window that shows what the menu shows. Raises `ProblemError`."""
        if self._window is None or self._known is None:
            raise ProblemError(Problem("This trayconnect has no window to show", COMMANDS))
        from trayconnect.tray.status_view import status_page

        self._window.update(status_page(*self._known()))
        self._window.show()

    def close_window(self) -> None:
        if self._window is not None:
            self._window.close()

    def second_start(self) -> None:
        """The program was started a second time: show where it is."""
        self._place.asked(self._tray)

    def report(self) -> TrayReport | None:
        """How the icon is shown; None without one."""
        return None if self._tray is None else self._tray.report()

    def notify(self, message: str, title: str) -> None:
        """Show a notice by the icon."""
        if self._tray is not None:
            self._tray.notify(message, title)

    def _on_shown(self) -> None:
        self._shown.set()
        self._place.shown()

    def _on_missing(self) -> None:
        """Report it as soon as there are servers for the window to show."""
        with self._lock:
            self._is_missing = self._known is None
        if not self._is_missing:
            self._place.missing()

    def _draw(self) -> float:
        """Returns the pause that it needs, in seconds."""
        from trayconnect.tray.menu import build_view
        from trayconnect.tray.status_view import status_page

        if self._tray is None or self._window is None or self._known is None:
            return 0.0
        snapshots, facts = self._known()
        view = build_view(snapshots, facts)
        self._tray.show(view)
        if self._window.is_open:
            self._window.update(status_page(snapshots, facts))
        return REST_PER_LINE * view.lines
