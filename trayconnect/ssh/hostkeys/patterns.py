"""Patterns of known_hosts files: `*` and `?`."""

from __future__ import annotations


def matches(text: str, pattern: str) -> bool:
    """Whether a pattern matches the whole text.

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
        expected in ("?", found) for expected, found in zip(part, piece, strict=True)
    )
