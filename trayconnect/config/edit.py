"""Adds entries to a server file, and leaves every other character of its text unchanged."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import yaml

from trayconnect.config import yaml_tree
from trayconnect.config.file_problems import ConfigError, FileReport
from trayconnect.config.model import Config
from trayconnect.config.new_entry import NewEntry
from trayconnect.config.sample import write_sample
from trayconnect.config.yaml_file import load, parse
from trayconnect.config.yaml_tree import compose
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.files import write_atomically


def as_text(entries: Sequence[NewEntry]) -> str:
    """The entries as lines of a server file."""
    return "\n".join(line for entry in entries for line in block_lines(entry.data))


def present(path: Path) -> Config:
    """The file's current content; empty if it is missing or unusable, which `add` reports."""
    try:
        return load(path)
    except ConfigError:
        return Config()


def add(path: Path, entries: Sequence[NewEntry]) -> None:
    """Append the entries to the file, which is created if it is missing.

    After any failure the file is unchanged, and the problem contains the lines to add by hand.
    Raises `ProblemError`."""
    write_sample(path)
    # A symbolic link, as into a folder of dot-files, is kept.
    path = path.resolve()
    try:
        before = path.read_bytes()
        existing = before.decode("utf-8")
    except (OSError, ValueError) as error:
        raise _by_hand(path, entries, f"it cannot be read: {error}") from error
    try:
        parse(existing, path)
    except ConfigError as error:
        reason = f"it has a mistake to correct first: {error.problems[0]}"
        raise _by_hand(path, entries, reason) from error
    data = [entry.data for entry in entries]
    try:
        new = append_servers(existing, data)
    except CannotInsertError as error:
        raise _by_hand(path, entries, str(error)) from error
    try:
        parse(new, path)
    except ConfigError as error:
        reason = f"they do not fit into it: {error.problems[0].message}"
        raise _by_hand(path, entries, reason) from error
    if _data(new, path) != _with(_data(existing, path), data):
        raise _by_hand(path, entries, "its list has an unusual shape")
    if path.read_bytes() != before:
        raise _by_hand(path, entries, "it was changed just now")
    write_atomically(path, new.encode("utf-8"), stat.S_IMODE(path.stat().st_mode))


def _data(text: str, path: Path) -> dict[str, object]:
    tree = compose(text.removeprefix("\ufeff"), FileReport(path))
    return tree.data() if isinstance(tree, yaml_tree.Mapping) else {}


def _with(existing: dict[str, object], data: Sequence[dict[str, object]]) -> dict[str, object]:
    servers = existing.get("servers")
    return {**existing, "servers": [*(servers if isinstance(servers, list) else ()), *data]}


def _by_hand(path: Path, entries: Sequence[NewEntry], why: str) -> ProblemError:
    count = "The entry was" if len(entries) == 1 else "The entries were"
    return ProblemError(
        Problem(
            title=f"{count} not written into {path}: {why}",
            advice=f"Add this below 'servers:' yourself:\n{as_text(entries)}",
        )
    )


_INDENT = 2
_EMPTY_LIST = re.compile(r"\[\s*\]")
_BREAK = re.compile(r"\r\n|\n|\r")

Entry = Mapping[str, object]


class CannotInsertError(Exception):
    """The text has a form that only its author can edit; the message says which."""


def append_servers(text: str, entries: Sequence[Entry]) -> str:
    """The text with more servers at the end of its list, in the style of the list.

    The text is a valid server file. Raises `CannotInsertError`; the caller verifies the result
    before writing it."""
    if not entries:
        return text
    layout = _layout(text)
    newline = "\r\n" if "\r\n" in text else "\n"
    blocks = [block_lines(entry) for entry in entries]
    lines = [line for block in blocks for line in block]
    if layout is None:
        return _at_end(text, ["servers:", *_indented(lines, _INDENT)], newline)
    if layout.servers is None:
        if layout.flow or layout.column:
            raise CannotInsertError("it is a mapping in braces, or indented, without 'servers'")
        return _at_end(text, ["servers:", *_indented(lines, _INDENT)], newline)
    servers = layout.servers
    if servers.kind == "nothing":
        if text[servers.start : servers.end].strip() or layout.flow:
            raise CannotInsertError("'servers' is written as null")
        indent = layout.column + _INDENT
        return _after_line(text, servers.start, _indented(lines, indent), newline)
    if servers.kind == "brackets":
        return _in_brackets(text, servers, entries, layout, lines, newline)
    return _after_items(text, servers, blocks, newline)


# --- locations ---------------------------------------------------------------------------------


class _EventMark(Protocol):
    @property
    def index(self) -> int: ...
    @property
    def column(self) -> int: ...


@dataclass(slots=True)
class _Servers:
    """The value of `servers`: its range, and its items."""

    kind: str
    """`nothing`, `brackets` or `dashes`."""
    start: int
    end: int
    column: int
    items: list[tuple[int, int]] = field(default_factory=list)
    """The first and the last character of each."""


@dataclass(slots=True)
class _Layout:
    """The mapping of the file. `flow`: it is in braces."""

    flow: bool
    column: int
    servers: _Servers | None = None


def _layout(text: str) -> _Layout | None:
    """None for a text that holds only comments."""
    events = list(yaml.parse(text, yaml.SafeLoader))
    for event in events:
        if isinstance(event, yaml.DocumentEndEvent) and event.explicit:
            raise CannotInsertError("its end is marked by '...'")
    nodes = [
        event for event in events if isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent)
    ]
    if not nodes or isinstance(nodes[0], yaml.ScalarEvent):
        if any(isinstance(event, yaml.DocumentStartEvent) and event.explicit for event in events):
            raise CannotInsertError("it is an empty document")
        return None
    root = nodes[0]
    assert isinstance(root, yaml.MappingStartEvent)
    layout = _Layout(bool(root.flow_style), _begin(root).column)
    at = 1
    while at < len(nodes) and not isinstance(nodes[at], yaml.MappingEndEvent):
        key, value = nodes[at], at + 1
        at = _after(nodes, value)
        if isinstance(key, yaml.ScalarEvent) and key.value == "servers":
            layout.servers = _servers(text, nodes[value:at])
    return layout


def _begin(event: yaml.Event) -> _EventMark:
    assert event.start_mark is not None  # every event of a parsed text has one
    return event.start_mark


def _end(event: yaml.Event) -> _EventMark:
    assert event.end_mark is not None
    return event.end_mark


def _after(nodes: Sequence[yaml.Event], at: int) -> int:
    """The end of the node that begins at `at`."""
    depth = 0
    while True:
        if isinstance(nodes[at], yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(nodes[at], yaml.CollectionEndEvent):
            depth -= 1
        at += 1
        if depth == 0:
            return at


def _servers(text: str, nodes: Sequence[yaml.Event]) -> _Servers:
    first, last = nodes[0], nodes[-1]
    start, end, column = _begin(first).index, _end(last).index, _begin(first).column
    if isinstance(first, yaml.ScalarEvent):
        return _Servers("nothing", start, end, column)
    if not isinstance(first, yaml.SequenceStartEvent) or first.anchor or first.tag:
        raise CannotInsertError("'servers' is no plain list")
    servers = _Servers("brackets" if first.flow_style else "dashes", start, end, column)
    if text[start] != ("[" if first.flow_style else "-"):
        raise CannotInsertError("its list begins in an unusual way")
    at = 1
    while at < len(nodes) - 1:
        behind = _after(nodes, at)
        item = nodes[at:behind]
        servers.items.append((_begin(item[0]).index, _last_character(text, item)))
        at = behind
    return servers


def _last_character(text: str, nodes: Sequence[yaml.Event]) -> int:
    """The last character of a node: the library puts the end of a block collection behind the
    following blank lines."""
    ends = [
        _end(event).index
        for event in nodes
        if isinstance(event, yaml.ScalarEvent | yaml.AliasEvent)
        or (isinstance(event, yaml.CollectionEndEvent) and _begin(event).index < _end(event).index)
    ]
    return len(text[: max(ends)].rstrip())


# --- edits -------------------------------------------------------------------------------------


def _indented(lines: Sequence[str], indent: int) -> list[str]:
    return [f"{' ' * indent}{line}" for line in lines]


def _at_end(text: str, lines: Sequence[str], newline: str) -> str:
    separator = newline if text and not text.endswith(("\n", "\r")) else ""
    return text + separator + "".join(f"{line}{newline}" for line in lines)


def _line_end(text: str, at: int) -> int:
    """The end of the line of that position, without its line break."""
    match = _BREAK.search(text, at)
    return match.start() if match else len(text)


def _after_line(text: str, at: int, lines: Sequence[str], newline: str) -> str:
    end = _line_end(text, at)
    if end == len(text):
        return _at_end(text, lines, newline)
    added = "".join(f"{newline}{line}" for line in lines)
    return text[:end] + added + text[end:]


def _in_brackets(
    text: str,
    servers: _Servers,
    entries: Sequence[Entry],
    layout: _Layout,
    lines: Sequence[str],
    newline: str,
) -> str:
    if servers.items:
        # After the last item, before its comma if there is one.
        at = servers.items[-1][1]
        added = "".join(f", {flow_text(entry)}" for entry in entries)
        return text[:at] + added + text[at:]
    inside = text[servers.start : servers.end]
    if not _EMPTY_LIST.fullmatch(inside) or layout.flow:
        raise CannotInsertError("its empty list contains comments, or is in braces")
    head = text[: servers.start].rstrip(" ") + text[servers.end :]
    indent = layout.column + _INDENT
    return _after_line(
        head, len(text[: servers.start].rstrip(" ")), _indented(lines, indent), newline
    )


def _after_items(
    text: str, servers: _Servers, blocks: Sequence[Sequence[str]], newline: str
) -> str:
    start, last = servers.items[-1]
    spaced = len(servers.items) > 1 and _blank_line_before(text, start)
    lines = [
        line for block in blocks for line in ([""] * spaced + _indented(block, servers.column))
    ]
    end = _past_comments(text, _line_end(text, last), servers.column)
    if end == len(text):
        return _at_end(text, lines, newline)
    return text[:end] + "".join(f"{newline}{line}" for line in lines) + text[end:]


def _past_comments(text: str, end: int, column: int) -> int:
    """The position after the comments that belong to the last item, by their indentation."""
    while match := re.match(r"(?:\r\n|\n|\r)(?P<indent> *)#[^\r\n]*", text[end:]):
        if len(match["indent"]) <= column:
            break
        end += match.end()
    return end


def _blank_line_before(text: str, at: int) -> bool:
    return bool(re.search(r"(?:\r\n|\n|\r)[ \t]*(?:\r\n|\n|\r)[ \t]*-?[ \t]*$", text[:at]))


_WIDTH = 1_000_000  # no line is wrapped


class _Dumper(yaml.SafeDumper):
    """Indents lists below their key, as the sample does."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)


def block_lines(entry: Mapping[str, object]) -> list[str]:
    """The lines of an entry in a block list: the first begins with a dash."""
    text = "".join(_key(key, value) for key, value in entry.items())
    first, *rest = text.splitlines()
    return [f"- {first}", *(f"  {line}" for line in rest)]


def flow_text(entry: Mapping[str, object]) -> str:
    """The entry for a list in brackets."""
    text = yaml.safe_dump(
        dict(entry), default_flow_style=True, sort_keys=False, allow_unicode=True, width=_WIDTH
    )
    return text.strip()


def _key(key: str, value: object) -> str:
    # A mapping or list on one line, lists of mappings on a line for each.
    style = None if isinstance(value, dict | list) else False
    text: str = yaml.dump(
        {key: value},
        Dumper=_Dumper,
        default_flow_style=style,
        sort_keys=False,
        allow_unicode=True,
        width=_WIDTH,
    )
    return text
