"""What a YAML scalar means, and an explanation if it means something other than it seems.

PyYAML follows YAML 1.1 (https://yaml.org/type/), where `22:30` is 1350, `0123` is 83 and `no` is
false. Here such a scalar is never converted: it is an error with an explanation."""

from __future__ import annotations

import re

from yaml.resolver import Resolver

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
