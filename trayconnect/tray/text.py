"""Fits a text to lines of the menu, and to what a toolkit can show. Pure."""

from __future__ import annotations

import textwrap
import unicodedata

WIDTH = 64
"""Characters of a line; longer texts are wrapped or clipped, since menus do neither."""
INDENT = "    "
ADVICE_LINES = 6


def clip(text: str, width: int = WIDTH) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def wrap(text: str) -> list[str]:
    """Lines that fit. Line breaks of the text stay: a command or a fingerprint has a line of its
    own."""
    lines = [line for part in text.splitlines() for line in textwrap.wrap(part, WIDTH)]
    return lines if len(lines) <= ADVICE_LINES else [*lines[: ADVICE_LINES - 1], "…"]


LINE_LIMIT = 160
"""Characters of a menu line: more would be wider than a screen."""
TOOLTIP_LIMIT = 127
"""UTF-16 units of a Windows tooltip: NOTIFYICONDATAW.szTip less its final zero
(https://learn.microsoft.com/windows/win32/api/shellapi/ns-shellapi-notifyicondataw)."""

_UNSHOWABLE = {"Cc", "Cs", "Zl", "Zp"}  # controls, lone surrogates, line and paragraph separators
_REORDERING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])


def one_line(text: str, limit: int = LINE_LIMIT) -> str:
    """At most `limit` characters that any toolkit can show, on one line.

    D-Bus drops a client that sends a NUL; text from a server must not reorder a line."""
    shown = "".join(
        " " if unicodedata.category(character) in _UNSHOWABLE else character
        for character in text[: limit + 1].translate(_REORDERING)
    )
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def dbusmenu_label(text: str) -> str:
    """An underscore marks an access key in com.canonical.dbusmenu; two are one to see."""
    return one_line(text).replace("_", "__")


def windows_label(text: str) -> str:
    """An ampersand marks an access key in a Win32 menu, a tab sets off a shortcut."""
    return one_line(text).replace("&", "&&")


def tooltip(text: str) -> str:
    """At most `TOOLTIP_LIMIT` UTF-16 units, on the lines that it has."""
    lines = text[: TOOLTIP_LIMIT + 1].split("\n")
    shown = "\n".join(one_line(line) for line in lines)
    while len(shown.encode("utf-16-le")) > 2 * TOOLTIP_LIMIT:
        shown = shown[:-2] + "…"
    return shown
