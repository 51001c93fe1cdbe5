"""The popup menu as data and as a protocol. The module imports little, because the helper process
starts at each click."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class MenuLine:
    """A line of the popup menu; `key` is unique among its siblings."""

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
        """Open it at that pixel of the screen, in place of an open one; returns at once.

        `chosen` is called on a thread of the menu with the keys of the chosen line, from the
        outermost menu on; not at all if no line was chosen. Never raises."""
        ...

    def close(self) -> None:
        """Close the menu. Never raises; may be called twice."""
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
