"""Pydantic's errors in plain words."""

from __future__ import annotations

import re
from collections.abc import Sequence as Many

from pydantic_core import ErrorDetails

from trayconnect.config import scalars
from trayconnect.config.scalars import shown, surprise
from trayconnect.config.unknown_keys import SECTIONS
from trayconnect.config.yaml_tree import Node, Scalar, Sequence

_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?")
_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "path_type": "the path of a file",
    "tuple_type": "a list: [one, another], or a line with '- ' for each",
}
_LIMITS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def describe(label: str, node: Node, section: str, errors: Many[ErrorDetails]) -> str:
    """One message for all errors of one value: `label` names it, `section` is the nearest mapping
    that has a name in the file's format."""
    # Every branch of a union reports an error; the branch with the matching type is the most
    # informative.
    for error in errors:
        message = _fault(error, node)
        if message:
            return f"{label} {message}"
    expected = dict.fromkeys(_expected(error, section) for error in errors)
    return _mismatch(label, node, " or ".join(expected))


def missing(key: str, section: str) -> str:
    """The message about a required key."""
    owner = {"servers": "server", "forwards": "forward"}.get(section, "mapping")
    return f"this {owner} has no {key}: add '{key}: …'"


def _fault(error: ErrorDetails, node: Node) -> str:
    """The fault of a value of the right type; empty if the type is wrong."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _LIMITS:
        message, limit = _LIMITS[kind]
        expected = f"must be {message} {context[limit]:g}"
        # The port of a jump host is only a part of its scalar.
        if isinstance(node, Scalar) and node.tag != scalars.TEXT:
            return f"{expected}, not {shown(node.text)}"
        return expected
    if kind == "value_error":
        return str(context["error"])
    if kind == "string_too_short":
        return "must not be empty"
    if kind == "string_too_long":
        return f"must have at most {context['max_length']} characters"
    return ""


def _expected(error: ErrorDetails, section: str) -> str:
    kind = error["type"]
    if kind == "literal_error":
        return str(error["ctx"]["expected"]).replace("'", "")
    if kind == "enum":
        return str(error["ctx"]["expected"]).replace("'", "")
    if kind == "model_type":
        if section == "forwards":
            return "a mapping (name, port, …) or like -L 8888:localhost:8888"
        if section == "start":
            return f"true, false, or a mapping ({', '.join(SECTIONS[section])})"
        return f"a mapping with keys of its own ({', '.join(SECTIONS.get(section, ()))})"
    return _EXPECTED.get(kind, "something else")


def _mismatch(label: str, node: Node, expected: str) -> str:
    if not isinstance(node, Scalar):
        kind = "a list" if isinstance(node, Sequence) else "a mapping"
        return f"{label} must be {expected}, not {kind}"
    if node.tag == scalars.NULL:
        return f"{label} has no value: it must be {expected}; or remove the line"
    if node.quoted and (_NUMBER.fullmatch(node.text) or node.text in ("true", "false")):
        return f"{label} must be {expected}: remove the quotes"
    explanation = surprise(node.tag, node.text)
    if expected == "text" and node.tag != scalars.TEXT:
        return (
            f"{label} must be text{', and ' + explanation if explanation else ''}: put it in quotes"
        )
    return f"{label} must be {expected}" + (
        f"; {explanation}" if explanation else f", not {shown(node.text)}"
    )
