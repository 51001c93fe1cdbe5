"""What the tray shows, as data: an icon, a title, and a menu whose items carry commands."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from trayconnect.core.command import Command


class IconState(enum.Enum):
    """The state of all sessions together; shapes differ as well as colours."""

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
        """Itself and its children."""
        return 1 + sum(child.lines for child in self.children)


@dataclass(frozen=True, slots=True)
class View:
    """Everything that the tray shows."""

    icon: IconState = IconState.OFF
    title: str = "trayconnect"
    items: tuple[Item, ...] = ()
    primary: Command | None = None
    """Done by a left click, on panels that open the menu with the right one. The menu offers it
    too."""
    attempt_since: float | None = None
    """When the latest unfinished attempt began, in seconds since the epoch: the icon moves during
    it. None: it stands still."""

    @property
    def lines(self) -> int:
        """Of the whole menu."""
        return sum(item.lines for item in self.items)
