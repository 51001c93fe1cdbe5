"""Start at login, for the running platform."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Protocol

from trayconnect.core.errors import Problem, ProblemError
from trayconnect.desktop.autostart import macos, windows
from trayconnect.desktop.autostart.macos import LaunchAgent
from trayconnect.desktop.autostart.windows import RunKey, system_registry
from trayconnect.desktop.autostart.xdg import DesktopEntry
from trayconnect.desktop.self_command import launch_command

logger = logging.getLogger(__name__)

AT_LOGIN = ("run", "--at-login")
"""On Linux: the desktop may start its panel later than this program."""
Command = Callable[[], tuple[str, ...]]
"""Returns the command to register; raises `ProblemError` if there is none."""


class Autostart(Protocol):
    """Whether the program starts at login, according to the system."""

    def is_on(self) -> bool: ...

    def turn_on(self) -> None:
        """Raises `ProblemError`."""
        ...

    def turn_off(self) -> None:
        """Raises `ProblemError`."""
        ...


class RefreshingAutostart(Autostart, Protocol):
    """`Autostart` that also follows a moved installation."""

    def refresh(self) -> bool:
        """Rewrite the entry if it is on and starts another command. Returns whether it did. Raises
        `ProblemError`."""
        ...


def autostart(command: Command = launch_command) -> RefreshingAutostart:
    """For this platform. The constructor changes nothing."""
    kinds: dict[str, Callable[[], RefreshingAutostart]] = {
        "darwin": lambda: LaunchAgent(command),
        "win32": lambda: RunKey(command, system_registry()),
    }
    return kinds.get(sys.platform, lambda: DesktopEntry(lambda: (*command(), *AT_LOGIN)))()


def hindrance() -> Problem | None:
    """Why it cannot be turned on here; None if it can, as far as is known."""
    kinds = {"darwin": macos.hindrance_here, "win32": windows.hindrance_here}
    return kinds.get(sys.platform, lambda: None)()


def refresh_quietly(entry: RefreshingAutostart) -> None:
    """At the start of the app: correct an outdated path. A failure is only logged."""
    try:
        if entry.refresh():
            logger.info("start at login: the entry now starts this installation")
    except ProblemError as error:
        logger.warning("start at login: %s", error)
