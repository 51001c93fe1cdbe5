"""A menu that has a line of each kind."""

from __future__ import annotations

from trayconnect.core.command import Command
from trayconnect.tray.view import IconState, Item, View

DISCONNECT = Command("disconnect", "GPU box")
OPEN = Command("open", "Lab")
PRIMARY = Command("open", "GPU box")
ITEMS = (
    Item("gpu", "GPU box: connected", DISCONNECT, checked=True),
    Item("gpu-words", "    signed in as ada_1", enabled=False),
    Item("line", separator=True),
    Item(
        "lab",
        "Lab & friends",
        children=(
            Item("copy", "Copy link", Command("copy-link", "Lab")),
            Item("dead", "Not now", enabled=False),
            Item("open", "Open", OPEN),
        ),
    ),
    Item("quit", "Quit trayconnect", Command("quit")),
)
VIEW = View(IconState.UP, "GPU box is connected", ITEMS, primary=PRIMARY)
