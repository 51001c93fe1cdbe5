"""What the menu says, in words and in lines that fit. Pure."""

from __future__ import annotations

import textwrap

WIDTH = 64
"""Characters of a line; longer texts are wrapped or clipped, since menus do neither."""
INDENT = "    "
ADVICE_LINES = 6


def clip(text: str, width: int = WIDTH) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def wrap(text: str) -> list[str]:
    """Lines that fit; those of the text itself are kept, since a command or a fingerprint has one
    to itself."""
    lines = [line for part in text.splitlines() for line in textwrap.wrap(part, WIDTH)]
    return lines if len(lines) <= ADVICE_LINES else [*lines[: ADVICE_LINES - 1], "…"]
