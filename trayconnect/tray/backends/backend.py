"""Chooses how the tray is drawn on this system."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from trayconnect.core.command import Command
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.desktop.windows.popup_menu import NoPopupMenu, PopupMenu
from trayconnect.tray.icon import Glyph
from trayconnect.tray.text import one_line, windows_label
from trayconnect.tray.tray_icon import Tray, TrayIcon
from trayconnect.tray.view import IconState

if TYPE_CHECKING:
    from trayconnect.tray.backends import watcher

NAME = "trayconnect"

OnCommand = Callable[[Command], object]


def make_tray(
    on_command: OnCommand,
    on_no_host: Callable[[], object] = lambda: None,
    popup: PopupMenu | None = None,
    *,
    by_hand: bool = False,
    on_shown: Callable[[], object] = lambda: None,
    on_session_end: Callable[[], object] = lambda: None,
) -> Tray:
    """The tray of this platform; to be made on the thread that will call its `run`.

    The callbacks run on the tray's thread, so be quick: `on_shown` each time a place has the icon;
    on Windows, `on_session_end` when the user logs out (the system ends the process when it
    returns); on Linux, `on_no_host` once, when no panel has taken the icon within 30 s, or, if the
    program was started `by_hand`, when none is there. A panel that starts later still gets it.

    `popup` draws the menu for a panel that draws none. Raises `ProblemError` if this system can
    show no icon."""
    try:
        if sys.platform == "darwin":
            return _darwin(on_command, on_shown)
        elif sys.platform == "win32":  # noqa: RET505 - mypy calls code after it unreachable
            return _win32(on_command, on_shown, on_session_end)
        else:
            return _linux(on_command, on_no_host, popup or NoPopupMenu(), by_hand, on_shown)
    except (ImportError, NotImplementedError) as error:
        raise ProblemError(
            Problem(
                "The tray icon cannot be drawn on this system",
                "Install trayconnect with all it needs (pip install --force-reinstall trayconnect),"
                " or start it without an icon: trayconnect run --no-tray",
                detail=repr(error),
            )
        ) from error


def _linux(
    on_command: OnCommand,
    on_no_host: Callable[[], object],
    popup: PopupMenu,
    by_hand: bool,
    on_shown: Callable[[], object],
) -> Tray:
    from trayconnect.tray.backends import linux, watcher

    x11 = bool(os.environ.get("DISPLAY"))
    if not x11:  # with a screen, a panel may yet start: a login starts it and us in any order
        problem = _problem(watcher.probe_bus(), wayland=bool(os.environ.get("WAYLAND_DISPLAY")))
        if problem is not None:
            raise ProblemError(problem)
    return linux.LinuxTray(
        NAME, on_command, on_no_host, popup, screen=x11, by_hand=by_hand, on_shown=on_shown
    )


def _problem(bus: watcher.Bus, *, wayland: bool) -> Problem | None:
    """Why there will be no icon without X11; None if there is one, or a panel may yet start.

    A bus without a screen (an SSH login, a service) has no panel to come."""
    advice = "Start it from a desktop session, or without an icon: trayconnect run --no-tray"
    if not bus.is_there:
        return Problem("There is no session bus to show a tray icon with", advice)
    if bus.watcher is None and not wayland:
        return Problem("There is no desktop to show a tray icon on", advice)
    return None


def _darwin(on_command: OnCommand, on_shown: Callable[[], object]) -> Tray:
    from trayconnect.tray.backends import darwin

    icon = darwin.MacIcon(NAME, Glyph(IconState.OFF, mono=True), NAME)
    return TrayIcon(icon, on_command, label=one_line, mono=True, on_shown=on_shown)


def _win32(
    on_command: OnCommand, on_shown: Callable[[], object], on_session_end: Callable[[], object]
) -> Tray:
    from trayconnect.tray.backends import win32

    icon = win32.WindowsIcon(NAME, Glyph(IconState.OFF), NAME, on_session_end)
    return TrayIcon(icon, on_command, label=windows_label, on_shown=on_shown)
