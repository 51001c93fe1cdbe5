"""Applies `defaults` to every server."""

from __future__ import annotations

from trayconnect.config.file_problems import FileReport
from trayconnect.config.yaml_tree import Mapping, Node, Scalar, mapping

DIRECT_KEYS = frozenset(("name", "group", "url", "open_browser", "connect_on_start"))
"""All keys that a direct connection takes."""

OWN_KEYS = ("name", "url", "local_port", "legacy")
"""Keys whose values no two servers share."""

_SWITCHES = ("start",)
"""Keys whose `true` in a server means the value of the defaults."""
_WHOLE = ("environment",)
"""Mappings with mutually exclusive keys: a server's own mapping replaces that of the defaults."""


def usable_defaults(defaults: Mapping, report: FileReport) -> Mapping:
    """The defaults without the keys that cannot be shared, which are reported."""
    for key in OWN_KEYS:
        if key in defaults.entries:
            report.add(
                defaults.entries[key].mark,
                f"'{key}' cannot stand in defaults: every server has its own",
            )
    shared = {key: entry for key, entry in defaults.entries.items() if key not in OWN_KEYS}
    return mapping(defaults.mark, shared)


def with_defaults(server: Mapping, defaults: Mapping) -> Mapping:
    """The server with the defaults for its missing keys; mappings are merged key by key, lists are
    not.

    Every value keeps its location, so that a fault in the defaults is reported there."""
    if "url" in server.entries:
        direct = {key: entry for key, entry in defaults.entries.items() if key in DIRECT_KEYS}
        defaults = mapping(defaults.mark, direct)
    return _merge(server, defaults)


def _merge(over: Mapping, under: Mapping) -> Mapping:
    entries = dict(over.entries)
    for key, entry in under.entries.items():
        own = entries.get(key)
        if own is None or (key in _SWITCHES and _is_true(own.value)):
            entries[key] = entry
        elif (
            key not in _WHOLE
            and isinstance(own.value, Mapping)
            and isinstance(entry.value, Mapping)
        ):
            entries[key] = own._replace(value=_merge(own.value, entry.value))
    return mapping(over.mark, entries)


def _is_true(node: Node) -> bool:
    return isinstance(node, Scalar) and node.data() is True
