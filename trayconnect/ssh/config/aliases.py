"""The host names of an SSH configuration, as a list to choose from."""

from __future__ import annotations

import itertools
import re

from trayconnect.config.openssh_syntax import ConfigLine, split_criteria, split_words
from trayconnect.ssh.config.config_files import Places, lines

_PATTERN = re.compile(r"[*?!]")


def aliases(places: Places) -> tuple[str, ...]:
    """The names after `Host`, and after `Match host` and `originalhost`, without patterns, in the
    order of the user's file. Unreadable files are skipped here: connecting reports them."""
    found: dict[str, None] = {}
    if places.user is not None:
        try:
            for line in lines(places.user, places):
                found.update((name, None) for name in _names(line))
        except OSError:
            pass
    return tuple(found)


def _names(line: ConfigLine) -> list[str]:
    try:
        if line.keyword == "host":
            names = split_words(line.rest)
        elif line.keyword == "match":
            criteria = itertools.pairwise(split_criteria(line.rest))
            names = tuple(
                name
                for criterion, names in criteria
                if criterion.lower() in ("host", "originalhost")
                for name in names.split(",")
            )
        else:
            return []
    except ValueError:
        return []
    return [name for name in names if name and not _PATTERN.search(name)]
