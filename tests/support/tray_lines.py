"""A menu that has a line of each kind."""

from __future__ import annotations

from trayconnect.tray.view import Action, IconState, Item, Verb, View

DISCONNECT = Action(Verb.DISCONNECT, "GPU box")
OPEN = Action(Verb.OPEN, "Lab")
PRIMARY = Action(Verb.OPEN, "GPU box")
ITEMS = (
    Item("gpu", "GPU box: connected", DISCONNECT, checked=True),
    Item("gpu-words", "    signed in as ada_1", enabled=False),
    Item("line", separator=True),
    Item(
        "lab",
        "Lab & friends",
        children=(
            Item("copy", "Copy link", Action(Verb.COPY_LINK, "Lab")),
            Item("dead", "Not now", enabled=False),
            Item("open", "Open", OPEN),
        ),
    ),
    Item("quit", "Quit trayconnect", Action(Verb.QUIT)),
)
VIEW = View(IconState.UP, "GPU box is connected", ITEMS, primary=PRIMARY)
