"""The characters that a host and a user name may have, in the file and in a pasted command.

As OpenSSH's `valid_hostname` and `valid_ruser` in ssh.c, and without the typographic characters
that a word processor or a web page substitutes for typed ones."""

from __future__ import annotations

import re
import unicodedata

_SHELL = "'`\"$\\;&<>|(){},"
"""Characters that OpenSSH refuses in a host name."""
_SHELL_IN_USER = "'`\";&<>|(){}"
_NEVER_IN_HOST = _SHELL + "*?!#^"
_VARIABLE = re.compile(r"\$[A-Za-z_{]|%[A-Za-z_]{2,}%")
_FOUR_NUMBERS = re.compile(r"(?:[0-9]{1,9}\.){3}[0-9]{1,9}")
_LETTER_LIKE = frozenset("·\N{KATAKANA MIDDLE DOT}\N{HEBREW PUNCTUATION GERESH}")
"""Punctuation that an internationalised domain name may contain."""

DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
DOUBLE_QUOTES = "\u201c\u201d\u201e\u201f\u2033\uff02"
SINGLE_QUOTES = "\u2018\u2019\u201a\u201b\u2032\uff07"


def host_fault(value: str) -> str:
    """Words that follow "host" if `value` is no valid host; "" if it is one. The caller checks
    colons, brackets and slashes."""
    for character in value:
        if character in _NEVER_IN_HOST:
            return f"must not contain {character}"
        if not character.isascii() and not _may_be_in_host(character):
            return typed_instead(character)
    if "%" in value and ":" not in value:  # after a colon, it is the zone of an IPv6 address
        return "must not contain %"
    if _FOUR_NUMBERS.fullmatch(value) and any(int(number) > 255 for number in value.split(".")):
        return "must be an address whose numbers are at most 255, or a name"
    return ""


def user_fault(value: str) -> str:
    """Words that follow "username" if `value` is no valid account; "" if it is one."""
    for character in value:
        if character in _SHELL_IN_USER:
            return f"must not contain {character}"
        if not character.isascii() and unicodedata.category(character)[0] in "PZC":
            return typed_instead(character)
    if value.startswith("-") or " -" in value:
        return "must not begin with '-'"
    if value.endswith("\\"):
        return "must not end with \\"
    if _VARIABLE.search(value):
        return "must not contain a variable: write the name of the account"
    return ""


def typed_instead(character: str) -> str:
    """A hint about a character that resembles one of the keyboard's."""
    if character in DASHES:
        plain = "a plain '-'"
    elif character in DOUBLE_QUOTES or character in SINGLE_QUOTES:
        plain = "a plain quote, or none"
    else:
        plain = "what the keyboard gives, or nothing"
    name = unicodedata.name(character, "").lower() or f"U+{ord(character):04X}"
    shown = (
        f"{character} ({name})" if character.isprintable() else f"an invisible character ({name})"
    )
    return f"must not contain {shown}: write {plain}"


def _may_be_in_host(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LMN" or category == "So" or character in _LETTER_LIKE


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
