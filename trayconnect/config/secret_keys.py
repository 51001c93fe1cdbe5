"""Detects passwords and other secrets, which do not belong in the file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import zip_longest

from trayconnect.config.file_problems import FileReport
from trayconnect.config.yaml_tree import (
    BROKEN,
    NULL,
    KeyValue,
    Mapping,
    Node,
    Scalar,
    Sequence,
    mapping,
    shown,
)

_INSTEAD = (
    "remove it; trayconnect asks for secrets when they are needed, and keeps them in the system "
    "keyring with 'password: keyring' under 'auth'"
)
_WORDS = frozenset(
    (
        *("password", "passwd", "passphrase", "pass", "pwd", "token", "secret", "pin", "otp"),
        *("credential", "credentials", "apikey", "api_key", "private_key"),
    )
)
_ENDINGS = ("_password", "_passphrase", "_token", "_secret", "_api_key")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def names_secret(key: str) -> bool:
    """Whether a key of that name would hold a secret, in any usual spelling."""
    word = _CAMEL.sub("_", key.strip()).lower().replace("-", "_")
    return word in _WORDS or word.endswith(_ENDINGS)


def without_secrets(node: Node, report: FileReport) -> Node:
    """The tree without values that are, or may be, secrets; each is reported without its value."""
    if isinstance(node, Sequence):
        items = tuple(without_secrets(item, report) for item in node.items)
        return node if _same(items, node.items) else Sequence(node.mark, items, node.size)
    if not isinstance(node, Mapping):
        return node
    entries: dict[str, KeyValue] = {}
    for key, (mark, value) in node.entries.items():
        if key == "password" and not _allowed(value):
            report.add(
                mark, f"password takes 'ask' or 'keyring', never the password itself: {_INSTEAD}"
            )
        elif key != "password" and names_secret(key):
            report.add(mark, f"{shown(key)} has no place in this file: {_INSTEAD}")
        else:
            entries[key] = KeyValue(mark, without_secrets(value, report))
    remaining = [entry.value for entry in entries.values()]
    before = [entry.value for entry in node.entries.values()]
    return node if _same(remaining, before) else mapping(node.mark, entries)


def _allowed(value: Node) -> bool:
    """Whether it is one of the two allowed words, or empty (which is reported elsewhere)."""
    if not isinstance(value, Scalar):
        return False
    return value.tag in (NULL, BROKEN) or value.text in ("ask", "keyring")


def _same(some: Iterable[Node], others: Iterable[Node]) -> bool:
    return all(one is other for one, other in zip_longest(some, others))
