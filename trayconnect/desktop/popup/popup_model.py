"""A menu that we draw ourselves, as data and as a protocol. Not in `ports`: its helper starts at
each click, and must not wait for the configuration's types to load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class MenuLine:
    """A line of a menu that we draw ourselves; `key` is unique among its siblings."""

    key: str
    text: str = ""
    enabled: bool = True
    checked: bool | None = None
    """None where there is no check mark."""
    children: tuple[MenuLine, ...] = ()
    separator: bool = False


class PopupMenu(Protocol):
    """Posts a menu on the screen, for a panel that shows our icon but draws no menu."""

    def show(
        self,
        lines: tuple[MenuLine, ...],
        at: tuple[int, int],
        chosen: Callable[[tuple[str, ...]], None],
    ) -> None:
        """Open it at that pixel of the screen, in place of one that is open; returns at once.

        `chosen` is called on a thread of the menu's with the keys that lead to the chosen line,
        from the outermost; not at all when none was chosen. Never raises."""
        ...

    def close(self) -> None:
        """Take the menu away. Never raises; may be called twice."""
        ...


class NoPopupMenu:
    def show(
        self,
        lines: tuple[MenuLine, ...],
        at: tuple[int, int],
        chosen: Callable[[tuple[str, ...]], None],
    ) -> None:
        pass

    def close(self) -> None:
        pass
