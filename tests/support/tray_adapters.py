"""What the tests of the tray's adapters have in common."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from trayconnect.core.command import Command
from trayconnect.tray.backends import pystray_base
from trayconnect.tray.backends.animation import ThreadTimer
from trayconnect.tray.icon import Glyph
from trayconnect.tray.view import IconState, Item, View

Untyped = Any
"""pystray's icons, and Cocoa's objects."""
LIMIT = 90.0
GLYPH = Glyph(IconState.OFF)
OPEN = Command("open", "GPU box")
COPY = Command("copy-link", "GPU box")
QUIT = Command("quit")
ITEMS = (
    Item("gpu", "R & D: connected", OPEN, checked=True),
    Item("advice", "    signed in", enabled=False),
    Item("line", separator=True),
    Item("more", "More", children=(Item("copy", "Copy link", COPY),)),
    Item("quit", "Quit", QUIT, checked=False),
)
VIEW = View(IconState.UP, "connected", ITEMS)


class SoonTimer(ThreadTimer):
    """Does not keep a test waiting."""

    def __init__(self, _seconds: float, job: Callable[[], None]) -> None:
        super().__init__(0.001, job)


def adapter(name: str, base: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Untyped:
    """The adapter module, over what pystray has for that system."""
    monkeypatch.setattr(pystray_base, "Icon", base.Icon)
    spec = importlib.util.find_spec(f"trayconnect.tray.backends.{name}")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def drawn(icon: Untyped) -> None:
    """Wait until everything that was posted has been done."""
    done = threading.Event()
    icon.post(done.set)
    assert done.wait(LIMIT)
