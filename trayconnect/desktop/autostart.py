"""Start at login: the way of the running platform."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Protocol

from trayconnect.desktop import autostart_macos, autostart_windows
from trayconnect.desktop.autostart_macos import LaunchAgent
from trayconnect.desktop.autostart_windows import RunKey, system_registry
from trayconnect.desktop.autostart_xdg import DesktopEntry
from trayconnect.desktop.launcher import launch_command
from trayconnect.errors import Problem, ProblemError
from trayconnect.ports import Autostart

logger = logging.getLogger(__name__)

AT_LOGIN = ("run", "--at-login")
"""On Linux: the desktop may start its panel after us."""
Command = Callable[[], tuple[str, ...]]
"""Gives the command to register; raises `ProblemError` when there is none."""


class RefreshingAutostart(Autostart, Protocol):
    """`ports.Autostart` that also follows an installation that has moved."""

    def refresh(self) -> bool:
        """Rewrite the entry if it is on and starts something else; whether it did.
        Raises `ProblemError`."""
        ...


def autostart(command: Command = launch_command) -> RefreshingAutostart:
    """For this platform. Making it touches nothing."""
    kinds: dict[str, Callable[[], RefreshingAutostart]] = {
        "darwin": lambda: LaunchAgent(command),
        "win32": lambda: RunKey(command, system_registry()),
    }
    return kinds.get(sys.platform, lambda: DesktopEntry(lambda: (*command(), *AT_LOGIN)))()


def hindrance() -> Problem | None:
    """Why it cannot be turned on here; None if it can, as far as is known."""
    kinds = {"darwin": autostart_macos.hindrance_here, "win32": autostart_windows.hindrance_here}
    return kinds.get(sys.platform, lambda: None)()


def refresh_quietly(entry: RefreshingAutostart) -> None:
    """At the start of the app: mend a stale path; a failure is only worth a line in the log."""
    try:
        if entry.refresh():
            logger.info("start at login: the entry now starts this installation")
    except ProblemError as error:
        logger.warning("start at login: %s", error)
