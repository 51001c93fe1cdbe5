"""Entries of `forwards` in OpenSSH's syntax, parsed into the keys of a forward.

Every key gets the location of the text that it comes from, so that a fault is reported there."""

from __future__ import annotations

import re

from trayconnect.config.file_problems import FileReport, Location
from trayconnect.config.forward_model import keys_of, name_of, spec_of
from trayconnect.config.forward_syntax import Kind
from trayconnect.config.local_addresses import LOCALHOST
from trayconnect.config.tools import TOOL_NAMES, TOOLS
from trayconnect.config.yaml_tree import (
    BOOL,
    BROKEN,
    INT,
    TEXT,
    KeyValue,
    Mapping,
    Node,
    Scalar,
    Sequence,
    mapping,
    shown,
)

# The keys that replace a key.
_INSTEAD = {"port": "remote_socket"}


def with_tool(forward: Mapping, report: FileReport) -> Node:
    """The forward with the keys that the tool stands for; its own keys take precedence."""
    node = forward.get("tool")
    if node is None or (isinstance(node, Scalar) and node.tag == BROKEN):
        return forward
    tool = TOOLS.get(node.text) if isinstance(node, Scalar) and node.tag == TEXT else None
    if tool is None:
        instead_of = f", not {shown(node.text)}" if isinstance(node, Scalar) else ""
        known = f"{', '.join(TOOL_NAMES[:-1])} or {TOOL_NAMES[-1]}"
        report.add(node.mark, f"tool must be {known}{instead_of}")
        return Scalar(forward.mark, "", BROKEN)
    if not _is_local(forward) or "local_socket" in forward.entries:
        return forward  # the checks report a tool that has no meaning there
    filled = {
        "name": (tool.name, TEXT),
        "port": (str(tool.port), INT),
        "open": ("true", BOOL),
        "path": (tool.path, TEXT),
        "ready": (tool.ready, TEXT),
    }
    if tool.only_localhost:
        filled["open_as"] = (LOCALHOST, TEXT)
    entries = {
        key: KeyValue(node.mark, Scalar(node.mark, text, tag))
        for key, (text, tag) in filled.items()
        if _INSTEAD.get(key) not in forward.entries
    }
    return mapping(forward.mark, entries | forward.entries)


def _is_local(forward: Mapping) -> bool:
    kind = forward.get("kind")
    return kind is None or (isinstance(kind, Scalar) and kind.text == Kind.LOCAL)


_OPTION = re.compile(r"(?:-(?P<letter>[LRD])\s*|(?P<word>\w+)(?:\s+|\s*=\s*))(?P<text>\S.*)")
_LETTERS = {"l": Kind.LOCAL, "r": Kind.REMOTE, "d": Kind.DYNAMIC}
_KINDS = _LETTERS | {f"{kind}forward": kind for kind in Kind}
_BESIDE = ("name", "open", "open_as")
"""The keys that are allowed beside OpenSSH's syntax."""

OPTION_PATTERN = (
    r"^(-[LRD]\s*|([LRD]|([Ll]ocal|[Rr]emote|[Dd]ynamic)[Ff]orward)[\s=]+)[^\s]+(\s+[^\s]+)?\s*$"
)
"""For the schema: an entry that is one string, in the usual spellings."""


def with_forwards(server: Mapping, report: FileReport) -> Mapping:
    """The server with its forwards as mappings of the keys of a forward."""
    entry = server.entries.get("forwards")
    if entry is None or not isinstance(entry.value, Sequence):
        return server
    items = tuple(_item(item, report) for item in entry.value.items)
    size = 1 + sum(item.size for item in items)
    forwards = KeyValue(entry.mark, Sequence(entry.value.mark, items, size))
    return mapping(server.mark, {**server.entries, "forwards": forwards})


def _item(item: Node, report: FileReport) -> Node:
    if isinstance(item, Scalar) and item.tag == TEXT:
        return _option(item, report)
    if isinstance(item, Mapping):
        kinds = [kind for kind in Kind if kind.value in item.entries]
        if kinds:
            return _from_keyword(item, kinds, report)
        return with_tool(item, report)
    return item


def _option(item: Scalar, report: FileReport) -> Node:
    """An entry that is one string: "-L 8888:localhost:8888", "LocalForward 8888 localhost:8888"."""
    match = _OPTION.fullmatch(item.text.strip())
    if match is None:
        return item
    kind = _KINDS.get((match["letter"] or match["word"]).lower())
    if kind is None:
        return item
    label = "an entry of forwards"
    whole = _parsed(kind, match["text"], item.mark, label, {}, report)
    return whole or _broken(item.mark)


def _from_keyword(item: Mapping, kinds: list[Kind], report: FileReport) -> Node:
    """A mapping with a key `local`, `remote` or `dynamic`."""
    kind, *more = kinds
    is_valid = not more
    for other in more:
        report.add(
            item.entries[other].mark,
            f"a forward is of one kind: remove '{other}', or '{kind}'",
        )
    allowed = {"name", kind.value, *kinds} | ({"open", "open_as"} if kind is Kind.LOCAL else set())
    beside: dict[str, KeyValue] = {}
    for key, entry in item.entries.items():
        if key not in allowed:
            is_valid = False
            report.add(entry.mark, f"'{key}' has no meaning beside '{kind}': remove it")
        elif key in _BESIDE:
            beside[key] = entry
    value = item.entries[kind].value
    if not isinstance(value, Scalar) or value.tag not in (TEXT, INT, BROKEN):
        report.add(value.mark, f"{kind} must be text: put it in quotes")
        return _broken(item.mark)
    if value.tag == BROKEN:
        return _broken(item.mark)
    whole = _parsed(kind, value.text, value.mark, kind.value, beside, report)
    return whole if whole and is_valid else _broken(item.mark)


def _parsed(
    kind: Kind,
    text: str,
    mark: Location,
    label: str,
    beside: dict[str, KeyValue],
    report: FileReport,
) -> Mapping | None:
    try:
        spec = spec_of(kind, text)
    except ValueError as error:
        report.add(mark, f"{label} {error}")
        return None
    keys = {
        "name": name_of(spec),
        **keys_of(spec),
    }
    entries = {
        key: KeyValue(mark, Scalar(mark, str(value), _tag(value))) for key, value in keys.items()
    }
    return mapping(mark, {**entries, **beside})


def _tag(value: str | int) -> str:
    return INT if isinstance(value, int) else TEXT


def _broken(mark: Location) -> Scalar:
    return Scalar(mark, "", BROKEN)
