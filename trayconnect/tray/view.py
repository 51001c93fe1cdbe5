"""What the tray shows, as data: an icon, a title, and a menu whose items carry commands."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from trayconnect.core.command import Command


class IconState(enum.Enum):
    """The sum of all sessions, told apart by shape as well as by colour."""

    OFF = "off"
    CONNECTING = "connecting"
    UP = "up"
    SILENT = "silent"
    """A tunnel is up, but nothing answers behind it."""
    NEEDS_YOU = "needs-you"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the menu.

    `key` is stable over updates and unique among its siblings, so that a late click never hits
    another server's line. `checked` is None where there is no check mark; `radio`: it is one of
    several of which one is checked."""

    key: str
    text: str = ""
    command: Command | None = None
    enabled: bool = True
    checked: bool | None = None
    children: tuple[Item, ...] = ()
    separator: bool = False
    radio: bool = False

    @property
    def lines(self) -> int:
        """It and all below it."""
        return 1 + sum(child.lines for child in self.children)


@dataclass(frozen=True, slots=True)
class View:
    """All that the tray shows at one moment."""

    icon: IconState = IconState.OFF
    title: str = "trayconnect"
    items: tuple[Item, ...] = ()
    primary: Command | None = None
    """What a left click does where a panel keeps the menu for the right one. Nothing is to be had
    by it alone."""
    attempt_since: float | None = None
    """When the latest attempt under way began, in seconds since the epoch: the icon moves on its
    account. None while it has nothing to move for."""

    @property
    def lines(self) -> int:
        """Of the whole menu."""
        return sum(item.lines for item in self.items)
