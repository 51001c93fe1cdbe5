"""A `View`'s items as a pystray menu, for every platform."""

from __future__ import annotations

from collections.abc import Callable

from trayconnect.core.command import Command
from trayconnect.tray.backends.pystray_base import Menu, MenuItem
from trayconnect.tray.view import Item


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
