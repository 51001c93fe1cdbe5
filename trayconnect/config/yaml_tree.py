"""From YAML text to a tree in which every key and value has its location.

Built over PyYAML's events rather than its nodes: libyaml's composer overflows the C stack on deep
nesting, both composers accept duplicate keys, and aliases can expand without limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import yaml

from trayconnect.config import scalars, yaml_messages
from trayconnect.config.file_problems import FileReport, Location
from trayconnect.config.scalars import shown

MAX_DEPTH = 32
MAX_SIZE = 200_000
"""Limit for the number of scalars, lists and mappings, with aliases expanded."""

_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SEQUENCE_TAGS = (None, scalars.TAG + "seq")
_MAPPING_TAGS = (None, scalars.TAG + "map")


@dataclass(frozen=True, slots=True)
class Scalar:
    mark: Location
    text: str
    tag: str
    quoted: bool = False
    size: int = 1

    def data(self) -> object:
        """As Python data."""
        return scalars.value(self.tag, self.text)


@dataclass(frozen=True, slots=True)
class Sequence:
    mark: Location
    items: tuple[Node, ...]
    size: int = 1

    def data(self) -> list[Any]:
        return [item.data() for item in self.items]


class KeyValue(NamedTuple):
    """A key's location, and its value."""

    mark: Location
    value: Node


@dataclass(frozen=True, slots=True)
class Mapping:
    mark: Location
    entries: dict[str, KeyValue]
    size: int = 1

    def data(self) -> dict[str, Any]:
        return {key: entry.value.data() for key, entry in self.entries.items()}

    def get(self, key: str) -> Node | None:
        entry = self.entries.get(key)
        return entry.value if entry else None


Node = Scalar | Sequence | Mapping

BROKEN = "broken"
"""The tag of a scalar that replaces an already reported one."""


def mapping(mark: Location, entries: dict[str, KeyValue]) -> Mapping:
    return Mapping(mark, entries, 1 + sum(1 + entry.value.size for entry in entries.values()))


def compose(text: str, report: FileReport, loader: type[Any] = _LOADER) -> Node | None:
    """The tree of a document, or None if it has none; problems go to `report`."""
    forbidden = yaml_messages.forbidden_character(text)
    if forbidden:
        report.add(*forbidden)
        return None
    try:
        return _Composer(yaml.parse(text, loader), report).document()
    except yaml.MarkedYAMLError as error:
        report.add(*yaml_messages.explain(error, text))
    except _GiveUpError as error:
        report.add(error.mark, error.message)
    return None


class _GiveUpError(Exception):
    def __init__(self, event: yaml.Event, message: str) -> None:
        super().__init__(message)
        self.mark = yaml_messages.mark(event.start_mark)
        self.message = message


class _Composer:
    def __init__(self, events: Iterator[yaml.Event], report: FileReport) -> None:
        self._events = events
        self._report = report
        self._anchors: dict[str, Node | None] = {}
        """None while the node is being read: an alias to it would be recursive."""

    def document(self) -> Node | None:
        root: Node | None = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _GiveUpError(
                        event, "a second document begins here: remove the line of '---'"
                    )
            elif isinstance(event, yaml.NodeEvent):
                root = self._node(event, 1)
        return root

    def _node(self, event: yaml.Event, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if depth > MAX_DEPTH:
            raise _GiveUpError(event, "nested too deeply")
        anchor = event.anchor if isinstance(event, yaml.NodeEvent) else None
        if anchor:
            self._anchors[anchor] = None
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, depth)
        else:
            assert isinstance(event, yaml.MappingStartEvent)
            node = self._mapping(event, depth)
        if anchor:
            self._anchors[anchor] = node
        return node

    def _alias(self, event: yaml.AliasEvent) -> Node:
        node = self._anchors.get(event.anchor or "")
        if node is not None:
            return node
        if event.anchor in self._anchors:
            return self._broken(event, "this alias is inside the part that it repeats")
        return self._broken(
            event,
            "'*' repeats an earlier '&' of the same name, and there is none. If it is text, put "
            "it in quotes",
        )

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        quoted = bool(event.style)  # None or "" for a plain scalar, depending on the loader
        if event.tag is None:
            tag = scalars.TEXT if quoted else scalars.plain_tag(event.value)
        elif event.tag in scalars.KNOWN_TAGS:
            tag = event.tag
        else:
            return self._broken(event, "'!' begins a YAML tag, which is not supported")
        return Scalar(yaml_messages.mark(event.start_mark), event.value, tag, quoted)

    def _sequence(self, event: yaml.SequenceStartEvent, depth: int) -> Node:
        items: list[Node] = []
        size = 1
        for inner in self._events:
            if isinstance(inner, yaml.SequenceEndEvent):
                break
            items.append(self._node(inner, depth + 1))
            size += items[-1].size
            self._limit(size, inner)
        if event.tag not in _SEQUENCE_TAGS:
            return self._broken(event, "'!' begins a YAML tag, which is not supported")
        return Sequence(yaml_messages.mark(event.start_mark), tuple(items), size)

    def _mapping(self, event: yaml.MappingStartEvent, depth: int) -> Node:
        entries: dict[str, KeyValue] = {}
        size = 1
        for inner in self._events:
            if isinstance(inner, yaml.MappingEndEvent):
                break
            key = self._node(inner, depth + 1)
            entry = KeyValue(
                yaml_messages.mark(inner.start_mark), self._node(next(self._events), depth + 1)
            )
            size += 1 + entry.value.size
            self._limit(size, inner)
            self._enter(entries, key, entry)
        if event.tag not in _MAPPING_TAGS:
            return self._broken(event, "'!' begins a YAML tag, which is not supported")
        return Mapping(yaml_messages.mark(event.start_mark), entries, size)

    def _enter(self, entries: dict[str, KeyValue], key: Node, entry: KeyValue) -> None:
        if not isinstance(key, Scalar):
            self._report.add(entry.mark, "a key must be a plain word")
        elif key.tag == scalars.TAG + "merge":
            self._report.add(entry.mark, "'<<' is not supported: put shared keys under 'defaults'")
        elif key.text in entries:
            first = entries[key.text].mark.line
            self._report.add(
                entry.mark, f"the key {shown(key.text)} occurs twice: first in line {first}"
            )
        elif key.tag != BROKEN:
            entries[key.text] = entry

    def _limit(self, size: int, event: yaml.Event) -> None:
        if size > MAX_SIZE:
            raise _GiveUpError(event, "too much for a server file")

    def _broken(self, event: yaml.Event, message: str) -> Scalar:
        at = yaml_messages.mark(event.start_mark)
        self._report.add(at, message)
        return Scalar(at, "", BROKEN)
