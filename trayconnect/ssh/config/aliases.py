"""The host names of an SSH configuration, as a list to choose from."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from trayconnect.config.openssh_tokenizer import split_criteria, split_line, split_words
from trayconnect.ssh.config.expand import tilde
from trayconnect.ssh.config.files import Files, Places
from trayconnect.ssh.config.reader import MAX_DEPTH

_PATTERN = re.compile(r"[*?!]")


def aliases(files: Files, places: Places) -> tuple[str, ...]:
    """The names after `Host`, and after `Match host` and `originalhost`, without patterns, in the
    order of the user's file. Unreadable files are skipped here: connecting reports them."""
    found: dict[str, None] = {}
    path = places.named or places.user
    if str(path) != "none":
        _collect(files, places, path, found, 0)
    return tuple(found)


def _collect(files: Files, places: Places, path: Path, found: dict[str, None], depth: int) -> None:
    try:
        text = files.read(path, guarded=False)
    except OSError:
        return
    for line in text.split("\n"):
        parsed = split_line(line)
        if parsed is None:
            continue
        try:
            names = _names(parsed.keyword, parsed.rest)
            included = split_words(parsed.rest) if parsed.keyword == "include" else ()
        except ValueError:
            continue
        found.update((name, None) for name in names if name and not _PATTERN.search(name))
        if depth < MAX_DEPTH:
            for word in included:
                pattern = places.home / ".ssh" / tilde(word, places.home)
                for inner in files.glob(str(pattern)):
                    _collect(files, places, inner, found, depth + 1)


def _names(keyword: str, rest: str) -> tuple[str, ...]:
    if keyword == "host":
        return split_words(rest)
    if keyword != "match":
        return ()
    criteria = split_criteria(rest)
    return tuple(
        name
        for criterion, names in itertools.pairwise(criteria)
        if criterion.lower() in ("host", "originalhost")
        for name in names.split(",")
    )
