"""What `defaults` adds to every server."""

from __future__ import annotations

from trayconnect.config.file_problems import FileReport
from trayconnect.config.yaml_tree import Mapping, Node, Scalar, mapping

DIRECT_KEYS = frozenset(("name", "group", "url", "open_browser", "connect_on_start"))
"""All that a direct connection takes."""

OWN_KEYS = ("name", "url", "local_port", "legacy")
"""What no two servers share."""

_SWITCHES = ("start",)
"""Where a server's own `true` means what the defaults say."""
_WHOLE = ("environment",)
"""Mappings whose keys exclude one another: a server's own takes the place of the defaults'."""


def usable_defaults(defaults: Mapping, report: FileReport) -> Mapping:
    """Without what cannot be shared, which is reported."""
    for key in OWN_KEYS:
        if key in defaults.entries:
            report.add(
                defaults.entries[key].mark,
                f"'{key}' cannot stand in defaults: every server has its own",
            )
    shared = {key: entry for key, entry in defaults.entries.items() if key not in OWN_KEYS}
    return mapping(defaults.mark, shared)


def with_defaults(server: Mapping, defaults: Mapping) -> Mapping:
    """The server with what it leaves unsaid; mappings are merged key by key, lists are not.

    Every value keeps its place, so that a fault of the defaults is found there."""
    if "url" in server.entries:
        direct = {key: entry for key, entry in defaults.entries.items() if key in DIRECT_KEYS}
        defaults = mapping(defaults.mark, direct)
    return _merge(server, defaults)


def _merge(over: Mapping, under: Mapping) -> Mapping:
    entries = dict(over.entries)
    for key, entry in under.entries.items():
        mine = entries.get(key)
        if mine is None or (key in _SWITCHES and _is_true(mine.value)):
            entries[key] = entry
        elif (
            key not in _WHOLE
            and isinstance(mine.value, Mapping)
            and isinstance(entry.value, Mapping)
        ):
            entries[key] = mine._replace(value=_merge(mine.value, entry.value))
    return mapping(over.mark, entries)


def _is_true(node: Node) -> bool:
    return isinstance(node, Scalar) and node.data() is True
