"""Patterns of ssh_config(5): `*`, `?`, lists of them, and `!`."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable


@functools.lru_cache(maxsize=512)
def _expression(pattern: str) -> re.Pattern[str]:
    # Runs of '*' mean the same as one, and cost a regular expression far more.
    parts = re.split(r"(\*+|\?)", pattern)
    text = "".join(
        ".*" if part.startswith("*") else "." if part == "?" else re.escape(part) for part in parts
    )
    return re.compile(text, re.DOTALL)


def matches(text: str, pattern: str) -> bool:
    """Whether one pattern, without `!`, fits the whole text."""
    return _expression(pattern).fullmatch(text) is not None


def matches_host_line(host: str, patterns: Iterable[str]) -> bool:
    """Whether a `Host` line applies: one fits, and none with `!` does."""
    found = False
    for pattern in patterns:
        if pattern.startswith("!"):
            if matches(host, pattern[1:]):
                return False
        else:
            found = found or matches(host, pattern)
    return found


def matches_list(text: str, patterns: str) -> bool:
    """The same for a list with commas, as in `Match user` and lists of algorithms."""
    return matches_host_line(text, [part for part in patterns.split(",") if part not in ("", "!")])


def matches_hostname_list(host: str, patterns: str) -> bool:
    """The same, upper and lower case making no difference."""
    return matches_list(host.lower(), patterns.lower())
