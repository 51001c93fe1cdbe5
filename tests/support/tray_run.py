"""A tray on a thread of the test."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.desktop import LIMIT, Desktop
from tests.support.tray_lines import VIEW
from trayconnect.core.command import Command
from trayconnect.desktop.windows.popup_menu import PopupMenu
from trayconnect.tray.backends.backend import make_tray
from trayconnect.tray.tray_icon import Tray

Actions = queue.SimpleQueue[Command]


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
