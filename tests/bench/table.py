"""Medians as tables for people, in Markdown. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """The values of one arm in one row."""

    values: Sequence[float] = ()
    errors: int = 0
    """Runs that failed, which have no value."""

    @property
    def median(self) -> float | None:
        return statistics.median(self.values) if self.values else None

    @property
    def spread(self) -> str:
        return f"{number(min(self.values))}..{number(max(self.values))}" if self.values else ""


def number(value: float) -> str:
    """Three digits, or all those before the point."""
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}"


def text_of(cell: Cell, base: Cell, *, spread: bool = False) -> str:
    """The median of a cell; in brackets its ratio to that of `base`, unless it is that."""
    median = cell.median
    if median is None:
        return "failed" if cell.errors else "–"
    notes = []
    if cell is not base and base.median:
        notes.append(f"{median / base.median:.2f}")
    if spread and len(cell.values) > 1:
        notes.append(cell.spread)
    if cell.errors:
        notes.append(f"{cell.errors} failed")
    return number(median) + (f" ({', '.join(notes)})" if notes else "")


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns are aligned for a terminal, too: the first to the left."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    bars = [f"{'-' * (width + 1)}{':' if column else '-'}" for column, width in enumerate(widths)]

    def shown(line: Sequence[str]) -> str:
        cells = [
            f" {text:>{width}} " if column else f" {text:<{width}} "
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        return f"|{'|'.join(cells)}|"

    return "\n".join([shown(lines[0]), f"|{'|'.join(bars)}|", *map(shown, lines[1:])])
