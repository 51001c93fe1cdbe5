"""What the tray shows, as data: an icon, a title, and a menu whose items carry actions."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class IconState(enum.Enum):
    """The sum of all sessions, told apart by shape as well as by colour."""

    OFF = "off"
    CONNECTING = "connecting"
    UP = "up"
    SILENT = "silent"
    """A tunnel is up, but nothing answers behind it."""
    NEEDS_YOU = "needs-you"
    FAILED = "failed"


class Verb(enum.Enum):
    CONNECT = "connect"
    DISCONNECT = "disconnect"
    OPEN = "open"
    CHOOSE_JUPYTER = "choose-jupyter"
    COPY_LINK = "copy-link"
    COPY_FORWARD = "copy-forward"
    RECONNECT = "reconnect"
    OPEN_TERMINAL = "open-terminal"
    START_JUPYTER = "start-jupyter"
    STOP_JUPYTER = "stop-jupyter"
    RESTART_JUPYTER = "restart-jupyter"
    SHOW_JUPYTER_LOG = "show-jupyter-log"
    ANSWER = "answer"
    """Bring the question that waits to the front."""
    SHOW_PROBLEM = "show-problem"
    """That of the forward, where one is named."""
    SHOW_NOTES = "show-notes"
    """What of ssh_config does not hold here, and what the servers gave to be read."""
    COPY_DIAGNOSTICS = "copy-diagnostics"
    SHOW_LOG = "show-log"
    CONNECT_GROUP = "connect-group"
    DISCONNECT_GROUP = "disconnect-group"
    CONNECT_ALL = "connect-all"
    DISCONNECT_ALL = "disconnect-all"
    EDIT_SERVERS = "edit-servers"
    TOGGLE_AUTOSTART = "toggle-autostart"
    SHOW_STATUS = "show-status"
    QUIT = "quit"


@dataclass(frozen=True, slots=True)
class Action:
    """What a click means; `server`, `forward` and `group` are names from the file, `jupyter` is
    where one of a server's Jupyters listens."""

    verb: Verb
    server: str = ""
    forward: str = ""
    group: str = ""
    jupyter: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the menu.

    `key` is stable over updates and unique among its siblings, so that a late click never hits
    another server's line. `checked` is None where there is no check mark; `radio`: it is one of
    several of which one is checked."""

    key: str
    text: str = ""
    action: Action | None = None
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
    primary: Action | None = None
    """What a left click does where a panel keeps the menu for the right one. Nothing is to be had
    by it alone."""
    attempt_since: float | None = None
    """When the latest attempt under way began, in seconds since the epoch: the icon moves on its
    account. None while it has nothing to move for."""

    @property
    def lines(self) -> int:
        """Of the whole menu."""
        return sum(item.lines for item in self.items)
