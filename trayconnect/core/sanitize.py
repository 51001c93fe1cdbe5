"""Sanitize text of a server, or of another program, before people see it.

The text goes into terminals, windows, menus and logs. A control character would act there, a
bidirectional one would reorder the line, and a long text would fill the screen. Everything that a
server sends passes `text`, `line` or `exact` where it enters the program."""

from __future__ import annotations

import re
import unicodedata

MAX_TEXT = 4000
MAX_LINE = 500

# ECMA-48: an escape sequence after ESC, or in its one-character form (C1). The pattern removes the
# whole sequence, not only its ESC: OSC, DCS, SOS, PM and APC with their text; CSI with its
# parameters. Of a two-character sequence, the second character stays: it may be a letter of the
# text.
_SEQUENCES = re.compile(
    r"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x9c|\x1b\\)?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b(?:[ -/]+[0-~])?"
)
_LINE_ENDS = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
# Invisible characters that `str.isprintable` accepts: Unicode's Default_Ignorable_Code_Point, and
# the blank of Braille.
_INVISIBLE = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    r"\U000e0000-\U000e0fff]"
)
_ACTING = {"Cc", "Cs", "Zl", "Zp"}
_REORDERING = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def text(value: bytes | str, most: int = MAX_TEXT) -> str:
    """At most `most` characters, on several lines, without unprintable ones (RFC 4256 section
    3.2)."""
    lines = _LINE_ENDS.sub("\n", _visible(value, most)).split("\n")
    return "\n".join(_printable(one).rstrip() for one in lines).strip()[:most]


def line(value: bytes | str, most: int = MAX_LINE) -> str:
    """As `text`, on one line."""
    return " ".join(_printable(_LINE_ENDS.sub(" ", _visible(value, most))).split())[:most]


def end_of(value: bytes | str, most: int = MAX_TEXT) -> str:
    """`text` of the end of a long value, such as a log."""
    return text(value[-most:], most)


def exact(value: object, most: int = MAX_TEXT) -> str:
    """The value itself if it is printable as it is, else "". For values that are compared or used,
    such as a path: a cleaned path would be another path."""
    if not isinstance(value, str) or len(value) > most or _LINE_ENDS.search(value):
        return ""
    return value if _printable(_SEQUENCES.sub("", value)) == value else ""


def unarmed(value: str) -> str:
    """The value without characters that act on a terminal or reorder a line. The last line of
    defence for our own texts, which may contain users' names with joined emoji."""
    if value.isprintable():
        return value
    kept = _REORDERING.sub("", _SEQUENCES.sub("", value))
    return "".join(c for c in kept if c == "\n" or unicodedata.category(c) not in _ACTING)


def escaped(value: str) -> str:
    """As `unarmed`, but with each such character as its number, for a log."""
    if value.isprintable():
        return value
    return "".join(_number(c) if _acts(c) else c for c in value)


def _visible(value: bytes | str, most: int) -> str:
    # Twice the limit, since sequences and blanks are removed; bounded even so.
    part = value[: 4 * most]
    return _SEQUENCES.sub("", part.decode("utf-8", "replace") if isinstance(part, bytes) else part)


def _printable(value: str) -> str:
    spaced = value.replace("\t", " ").replace("\u00a0", " ").replace("\u3000", " ")
    return _INVISIBLE.sub("", "".join(c for c in spaced if c.isprintable()))


def _acts(c: str) -> bool:
    return c not in "\n\t" and bool(unicodedata.category(c) in _ACTING or _REORDERING.match(c))


def _number(c: str) -> str:
    return f"\\x{ord(c):02x}" if ord(c) < 0x100 else f"\\u{ord(c):04x}"
