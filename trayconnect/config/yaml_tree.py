"""The YAML file as a tree of nodes, with the location of every key and value.

PyYAML follows YAML 1.1 (https://yaml.org/type/), where `22:30` is 1350, `0123` is 83 and `no` is
false. Here such a scalar is never converted: it is an error with an explanation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from yaml.resolver import Resolver

from trayconnect.config import yaml_messages
from trayconnect.config.file_problems import WHOLE_FILE, FileReport, Location

TAG = "tag:yaml.org,2002:"
TEXT, INT, FLOAT, BOOL, NULL = (TAG + kind for kind in ("str", "int", "float", "bool", "null"))
KNOWN_TAGS = frozenset((TEXT, INT, FLOAT, BOOL, NULL))


_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,99})")
_REAL = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
_FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_BASES = (("0x", 16, "hexadecimal"), ("0b", 2, "binary"), ("0", 8, "octal"))
_MAX_SHOWN = 40


class Unusable:
    """Stands for a scalar that no key accepts; every type check refuses it."""


UNUSABLE = Unusable()


def plain_tag(text: str) -> str:
    """The YAML 1.1 tag of an unquoted, untagged scalar."""
    for tag, pattern in Resolver.yaml_implicit_resolvers.get(text[:1], ()):
        if pattern.match(text):
            return str(tag)
    return TEXT


def value(tag: str, text: str) -> object:
    """The Python value, or `UNUSABLE`; also for null, which no key accepts."""
    if tag == TEXT:
        return text
    if tag == BOOL:
        return _FLAGS.get(text.lower(), UNUSABLE)
    if tag == INT and _DECIMAL.fullmatch(text):
        return int(text)
    if tag == FLOAT and _REAL.fullmatch(text):
        return float(text)
    return UNUSABLE


def surprise(tag: str, text: str) -> str:
    """YAML's interpretation of the scalar, if that differs from its look; else empty."""
    if tag == BOOL:
        return f"YAML reads {shown(text)} as {'true' if _FLAGS.get(text.lower()) else 'false'}"
    if tag == INT and not _DECIMAL.fullmatch(text) and len(text) <= _MAX_SHOWN:
        number = _odd_number(text)
        return f"YAML reads {shown(text)} as {number}" if number else ""
    if tag == FLOAT and ":" in text:
        return f"YAML reads {shown(text)} as a number in base 60"
    if tag == TAG + "timestamp":
        return f"YAML reads {shown(text)} as a date"
    return ""


def shown(text: str) -> str:
    """The scalar in quotes, on one line and shortened."""
    clean = "".join(character if character.isprintable() else "?" for character in text)
    return f"'{clean[:_MAX_SHOWN]}…'" if len(clean) > _MAX_SHOWN else f"'{clean}'"


def _odd_number(text: str) -> str:
    digits = text.replace("_", "").lstrip("+-")
    sign = "-" if text.startswith("-") else ""
    try:
        if ":" in digits:
            number = 0
            for part in digits.split(":"):
                number = number * 60 + int(part)
            return f"the number {sign}{number}, in base 60"
        for prefix, base, word in _BASES:
            if digits.startswith(prefix) and digits != "0":
                return f"the {word} number {sign}{int(digits[len(prefix) :], base)}"
        return f"the number {sign}{int(digits)}"
    except ValueError:  # an explicit tag on any text
        return ""


MAX_DEPTH = 32
MAX_SIZE = 200_000
"""Limit for the number of scalars, lists and mappings, with aliases expanded."""

_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SEQUENCE_TAGS = (None, TAG + "seq")
_MAPPING_TAGS = (None, TAG + "map")


@dataclass(frozen=True, slots=True)
class Scalar:
    mark: Location
    text: str
    tag: str
    quoted: bool = False
    size: int = 1

    def data(self) -> object:
        """As Python data."""
        return value(self.tag, self.text)


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
            tag = TEXT if quoted else plain_tag(event.value)
        elif event.tag in KNOWN_TAGS:
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
        elif key.tag == TAG + "merge":
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


def mark_of(text: str, server: int, *keys: str | int) -> Location:
    """The location of a value of the server with that index: in its entry, or in the defaults. A
    number is the index of an item of a list.

    `text` is valid for `yaml_file.parse`. WHOLE_FILE if the value is nowhere."""
    root = compose(text.removeprefix("\ufeff"), FileReport(Path()))
    for start in (_item(_child(root, "servers"), server), _child(root, "defaults")):
        node = start
        for key in keys:
            node = _item(node, key) if isinstance(key, int) else _child(node, key)
        if node is not None:
            return node.mark
    return WHOLE_FILE


def _child(node: Node | None, key: str) -> Node | None:
    return node.get(key) if isinstance(node, Mapping) else None


def _item(node: Node | None, index: int) -> Node | None:
    if isinstance(node, Sequence) and index < len(node.items):
        return node.items[index]
    return None
