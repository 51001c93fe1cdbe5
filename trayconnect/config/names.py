"""Equality of names in the file, and the lookup of an entry by name."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from trayconnect.core.errors import Problem, ProblemError

if TYPE_CHECKING:
    from trayconnect.config.model import Server


def name_key(name: str) -> str:
    """Equal for names that differ only in case, or in their Unicode form (NFC, section 2.3.2 of UAX
    15)."""
    return unicodedata.normalize("NFC", name).casefold()


def find_server(servers: Sequence[Server], name: str) -> Server:
    """The entry of that name, ignoring case. Raises `ProblemError`."""
    by_key = {name_key(server.name): server for server in servers}
    key = name_key(name)
    if key in by_key:
        return by_key[key]
    close = difflib.get_close_matches(key, by_key, n=1)
    if close:
        advice = f"Did you mean “{by_key[close[0]].name}”?"
    elif servers:
        advice = "There are: " + ", ".join(server.name for server in servers)
    else:
        advice = "The server file has no servers yet"
    raise ProblemError(Problem(f"There is no server “{name}”", advice))
