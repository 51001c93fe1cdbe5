"""Tells the user where the icon is, or what to use if no panel shows it."""

from __future__ import annotations

import sys
from collections.abc import Callable

from trayconnect.core.errors import ProblemError
from trayconnect.core.notices import Notice, Notifier
from trayconnect.tray.tray_icon import Tray

PLACE = {
    "darwin": "Its icon is in the menu bar",
    "win32": "Its icon is in the taskbar's notification area, maybe behind the arrow",
}.get(sys.platform, "Its icon is in the panel")
COMMANDS = "Use its commands: trayconnect --help"
WINDOW = "A window shows your servers meanwhile"
HIDES = sys.platform in ("darwin", "win32")
"""Whether the system may hide the icon: behind an arrow, or a notch."""
NO_PLACE = "no icon"
"""The tag of the notice."""


class IconPlace:
    """`show_window` opens the status window, or raises `ProblemError`; `say` prints a line on the
    terminal that started the program."""

    def __init__(
        self,
        show_window: Callable[[], object],
        notifier: Notifier,
        say: Callable[[str], object],
    ) -> None:
        self._show_window = show_window
        self._notifier = notifier
        self._say = say
        self._said = ""

    def shown(self) -> None:
        """A panel has the icon."""
        self._notifier.withdraw(NO_PLACE)
        self._tell(f"{PLACE}.")

    def missing(self) -> None:
        """No panel has it yet; one that starts later gets it."""
        title = "There is no place for the icon"
        meanwhile = self._window()
        self._tell(f"{title}. {meanwhile}.")
        where = (
            "On GNOME, install the AppIndicator extension; elsewhere, a panel with a status area."
        )
        self._notifier.notify(Notice(NO_PLACE, title, f"{where} {meanwhile}.", passing=True))

    def asked(self, tray: Tray | None) -> None:
        """The program was started a second time."""
        place = PLACE if tray is not None else f"It has no icon. {COMMANDS}"
        if tray is not None and (HIDES or not tray.is_shown):
            shown = self._window()
            if shown == WINDOW:
                return
            place = PLACE if tray.is_shown else shown
        self._notifier.notify(
            Notice("running", "trayconnect is running", place, passing=True, asked=True)
        )

    def _window(self) -> str:
        try:
            self._show_window()
        except ProblemError as error:
            return f"{error.problem.title}. {COMMANDS}"
        return WINDOW

    def _tell(self, line: str) -> None:
        if line != self._said:
            self._say(line if self._said else f"{line} Ctrl+C ends trayconnect.")
            self._said = line
