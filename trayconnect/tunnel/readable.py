"""Words of a server, or of another program, made fit to be shown to people.

They go into windows, terminals and logs, where control characters would act, and a long text would
fill the screen."""

from __future__ import annotations

MAX_TEXT = 4000
MAX_LINE = 500


def text(value: bytes | str, most: int = MAX_TEXT) -> str:
    """At most that many characters, on several lines; what does not print is dropped, as RFC 4256
    section 3.2 asks for."""
    words = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return "".join(c for c in words[:most] if c.isprintable() or c == "\n").strip()


def line(value: bytes | str, most: int = MAX_LINE) -> str:
    """The same on one line."""
    words = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return "".join(c for c in " ".join(words[:most].split()) if c.isprintable())
