"""Chooses how the tray is drawn on this system."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from trayconnect.errors import Problem, ProblemError
from trayconnect.tray.icon import Glyph
from trayconnect.tray.text import dbusmenu_label, one_line, windows_label
from trayconnect.tray.tray_icon import TrayIcon
from trayconnect.tray.view import Action, IconState

NAME = "trayconnect"

OnAction = Callable[[Action], object]


def make_tray(on_action: OnAction, on_no_host: Callable[[], object] = lambda: None) -> TrayIcon:
    """The tray of this platform; to be made on the thread that will call its `run`.

    `on_no_host` is for Linux: it is called once, on the tray's thread (so be quick), when no panel
    has taken the icon within 30 s; one that starts later still gets it. Raises `ProblemError` when
    there is no way to show an icon."""
    make = {"darwin": _darwin, "win32": _win32}.get(sys.platform)
    try:
        return _linux(on_action, on_no_host) if make is None else make(on_action)
    except (ImportError, NotImplementedError) as error:
        raise ProblemError(
            Problem(
                "The tray icon cannot be drawn on this system",
                "Install trayconnect with all it needs (pip install --force-reinstall trayconnect),"
                " or start it without an icon: trayconnect run --no-tray",
                detail=repr(error),
            )
        ) from error


def _linux(on_action: OnAction, on_no_host: Callable[[], object]) -> TrayIcon:
    from trayconnect.tray import sni, watcher

    problem = watcher.problem_of(watcher.look(), os.environ)
    if problem is not None:
        raise ProblemError(problem)
    icon = sni.Icon(NAME, Glyph(IconState.OFF), NAME, on_no_host=on_no_host)
    return TrayIcon(icon, on_action, label=dbusmenu_label)


def _darwin(on_action: OnAction) -> TrayIcon:
    from trayconnect.tray import darwin

    icon = darwin.Icon(NAME, Glyph(IconState.OFF, mono=True), NAME)
    return TrayIcon(icon, on_action, label=one_line, mono=True)


def _win32(on_action: OnAction) -> TrayIcon:
    from trayconnect.tray import win32

    icon = win32.Icon(NAME, Glyph(IconState.OFF), NAME)
    return TrayIcon(icon, on_action, label=windows_label)
