"""Placeholders of manuals: `USER@HOST`, `your_username`."""

from __future__ import annotations

import re

_BRACKETS = re.compile(r"<[^<>]+>|\{\{?[^{}]*\}?\}|\[[^\[\]:]*[A-Za-z@][^\[\]:]*\]|%\([^)]*\)s")
_YOURS = re.compile(
    r"(?:your[-_. ]?(?:\w+[-_. ]?)*(?:user|name|login|account|id|host|server|machine|cluster|"
    r"domain|node|ip|key|address|remote|box|desktop)\b.*|"
    r"remote[-_]?(?:host|user|server|machine|address|ip)(?:name)?|"
    r"(?:user|server|host|node|ip)_(?:name|ip|address|id)|"
    r"username|ip-?address|x{3,}|x+(?:\.x+){2,}|\.{2,}|changeme)",
    re.IGNORECASE,
)
_SHOUTED_WORDS = """
    USER HOST HOSTNAME SERVER NODE NODENAME LOGIN LOGINNODE REMOTE ADDRESS NETID DOMAIN MACHINE
    CLUSTER ACCOUNT YOU UID PORT IP NAME XX
"""
_SHOUTED = frozenset(_SHOUTED_WORDS.split())
_EXAMPLE_PATH = re.compile(r"(?:.*[/\\])?(?:path[/\\]to|path[/\\]of)[/\\].*", re.IGNORECASE)


def is_placeholder(word: str) -> bool:
    """Whether a user or a host is a placeholder."""
    return (
        _BRACKETS.search(word) is not None or word in _SHOUTED or _YOURS.fullmatch(word) is not None
    )


def is_example_path(path: str) -> bool:
    """Whether a path is a placeholder."""
    return _BRACKETS.search(path) is not None or _EXAMPLE_PATH.fullmatch(path) is not None
