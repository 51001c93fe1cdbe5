"""Patterns of ssh_config(5): `*`, `?`, lists of them, and `!`."""

from __future__ import annotations

from collections.abc import Iterable


def matches(text: str, pattern: str) -> bool:
    """Whether one pattern, without `!`, matches the whole text.

    Without `re`, which can take exponential time for many stars."""
    first, *rest = pattern.split("*")
    if not rest:
        return len(text) == len(pattern) and _at(text, 0, pattern)
    last = rest.pop()
    end = len(text) - len(last)
    if not _at(text, 0, first) or end < len(first) or not _at(text, end, last):
        return False
    # Match the text between two stars as early as possible.
    place = len(first)
    for part in rest:
        places = range(place, end - len(part) + 1)
        found = next((at for at in places if _at(text, at, part)), None)
        if found is None:
            return False
        place = found + len(part)
    return True


def _at(text: str, place: int, part: str) -> bool:
    """Whether `part`, with `?` for any character, occurs in `text` at `place`."""
    piece = text[place : place + len(part)]
    return len(piece) == len(part) and all(
        wanted in ("?", found) for wanted, found in zip(part, piece, strict=True)
    )


def matches_host_line(host: str, patterns: Iterable[str]) -> bool:
    """Whether a `Host` line applies: one pattern matches, and none with `!` does."""
    found = False
    for pattern in patterns:
        if pattern.startswith("!"):
            if matches(host, pattern[1:]):
                return False
        else:
            found = found or matches(host, pattern)
    return found


def matches_list(text: str, patterns: str) -> bool:
    """The same for a comma-separated list, as in `Match user` and lists of algorithms."""
    return matches_host_line(text, [part for part in patterns.split(",") if part not in ("", "!")])


def matches_hostname_list(host: str, patterns: str) -> bool:
    """The same, ignoring case."""
    return matches_list(host.lower(), patterns.lower())
