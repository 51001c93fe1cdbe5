"""A tray on a thread of the test, with a menu that has a line of each kind."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.desktop import LIMIT, Desktop
from trayconnect.popup_menu import PopupMenu
from trayconnect.tray.backend import make_tray
from trayconnect.tray.tray_icon import Tray
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
VIEW = View(IconState.UP, "GPU box is connected", ITEMS, PRIMARY)

Actions = queue.SimpleQueue[Action]


def enter(desktop: Desktop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process take the desktop for its own."""
    for name in ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "DISPLAY"):
        monkeypatch.setenv(name, desktop.env[name])
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


@contextmanager
def running(
    popup: PopupMenu | None = None,
    on_no_host: Callable[[], object] = lambda: None,
    make: Callable[..., Tray] = make_tray,
) -> Iterator[tuple[Tray, Actions]]:
    """The tray, and what was clicked; leaves no thread."""
    actions: Actions = queue.SimpleQueue()
    tray = make(actions.put, on_no_host, popup)
    tray.show(VIEW)
    thread = threading.Thread(target=tray.run, name="tc-test-tray")
    thread.start()
    try:
        yield tray, actions
    finally:
        tray.stop()
        thread.join(LIMIT)
        assert not thread.is_alive()
    assert not [t.name for t in threading.enumerate() if t.name.startswith("tc-")]
