"""Finds the location of a value in the file's text."""

from __future__ import annotations

from pathlib import Path

from trayconnect.config.file_problems import WHOLE_FILE, FileReport, Location
from trayconnect.config.yaml_tree import Mapping, Node, Sequence, compose


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
