"""Where the lines of a menu are that wine draws."""

from __future__ import annotations

from collections.abc import Sequence

from trayconnect.tray.view import Item

BORDER, LINE, SEPARATOR = 3, 17, 9
"""Pixels."""


def height(items: Sequence[Item]) -> int:
    """Of a menu of wine with these lines."""
    return 2 * BORDER + sum(SEPARATOR if item.separator else LINE for item in items)


def line(items: Sequence[Item], item: Item) -> int:
    """The middle of a line, from the top of the menu."""
    before = items[: next(place for place, one in enumerate(items) if one is item)]
    return height(before) - BORDER + LINE // 2


def path(items: Sequence[Item], verb: str, server: str) -> list[Item]:
    """The lines to click, from the top of the menu down to the one that does this."""
    for item in items:
        if item.command is not None and (item.command.name, item.command.server) == (verb, server):
            return [item]
        if found := path(item.children, verb, server):
            return [item, *found]
    return []
