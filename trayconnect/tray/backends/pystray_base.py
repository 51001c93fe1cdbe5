"""pystray, imported so that it opens no display, and its menu for the items of a `View`.

`import pystray` picks a backend at once. On Linux that opens an X display (and raises
`Xlib.error.DisplayNameError` where there is none) or loads GTK, only for a tray without a menu or
with temporary files; our own backend in `sni.py` needs neither. So there it gets its
dummy, which leaves the menu classes and the abstract `Icon`. `_base` is private: pystray's version
is pinned.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trayconnect.core.command import Command
from trayconnect.tray.view import Item

if TYPE_CHECKING:
    from collections.abc import Iterator

_VARIABLE = "PYSTRAY_BACKEND"


@contextmanager
def _without_a_display() -> Iterator[None]:
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = "dummy"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before


if sys.platform in ("darwin", "win32"):
    from pystray import Icon, Menu, MenuItem
else:
    with _without_a_display():
        from pystray import Icon, Menu, MenuItem

__all__ = ["Icon", "Menu", "MenuItem"]


class PystrayLine(MenuItem):  # type: ignore[misc]  # pystray is not annotated
    """A menu item that knows its `Item.key`."""

    def __init__(self, item: Item, text: str, then: Menu | Callable[[], object] | None) -> None:
        checked = None if item.checked is None else (lambda _line: bool(item.checked))
        super().__init__(text, then, checked=checked, radio=item.radio, enabled=item.enabled)
        self.key = item.key


def menu_of(
    items: tuple[Item, ...], activate: Callable[[Command], object], label: Callable[[str], str]
) -> Menu:
    """The menu; a click calls `activate` on the toolkit's thread. `label` escapes a text."""
    return Menu(*(_line(item, activate, label) for item in items))


def _line(
    item: Item, activate: Callable[[Command], object], label: Callable[[str], str]
) -> MenuItem:
    if item.separator:
        return Menu.SEPARATOR
    if item.children:
        return PystrayLine(item, label(item.text), menu_of(item.children, activate, label))
    command = item.command
    then = None if command is None else lambda: activate(command)
    return PystrayLine(item, label(item.text), then)
