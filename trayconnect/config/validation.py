"""From data to types, with a plain message and the location in the file for every fault."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence as Many
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from trayconnect.config.batch_options import BatchOptions
from trayconnect.config.file_problems import FileReport, Location
from trayconnect.config.forward_model import SHAPE_FAULT, Forward
from trayconnect.config.forward_syntax import Kind
from trayconnect.config.model import Auth, JumpHost, Jupyter, Keepalive, Server
from trayconnect.config.start_options import Environment, StartOptions
from trayconnect.config.yaml_tree import (
    BROKEN,
    NULL,
    TEXT,
    Mapping,
    Node,
    Scalar,
    Sequence,
    shown,
    surprise,
)

Model = TypeVar("Model", bound=BaseModel)


class _TreePosition(NamedTuple):
    """The position of an error in the tree, as far as the tree goes."""

    node: Node
    key_mark: Location
    label: str
    section: str


def validate(
    model: type[Model],
    data: object,
    tree: Node,
    section: str,
    report: FileReport,
) -> Model | None:
    """The model, or None if the data is invalid; `data` is that of `tree`, with additions."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        _explain(error, tree, section, report)
        return None


def _explain(error: ValidationError, tree: Node, section: str, report: FileReport) -> None:
    values: dict[tuple[Location, str], tuple[_TreePosition, list[ErrorDetails]]] = {}
    for details in error.errors(include_url=False, include_input=False):
        if details["type"] == SHAPE_FAULT:
            continue  # the checks report it, each fault at its own location
        spot = _locate(tree, details["loc"], section)
        if details["type"] == "extra_forbidden":
            report.add(spot.key_mark, unknown_key(str(details["loc"][-1]), spot.section))
        elif details["type"] == "missing":
            report.add(spot.node.mark, missing_key(str(details["loc"][-1]), spot.section))
        elif not (isinstance(spot.node, Scalar) and spot.node.tag == BROKEN):
            _, found = values.setdefault((spot.node.mark, spot.label), (spot, []))
            found.append(details)
    for spot, found in values.values():
        report.add(spot.node.mark, mismatch_message(spot.label, spot.node, spot.section, found))


def _locate(tree: Node, location: tuple[int | str, ...], section: str) -> _TreePosition:
    node, key_mark, label = tree, tree.mark, section
    for step in location:
        if isinstance(node, Mapping) and step in node.entries:
            key_mark, node = node.entries[str(step)]
            label = str(step)
            section = label if label in SECTIONS else section
        elif isinstance(node, Sequence) and isinstance(step, int):
            node = node.items[step]
            key_mark, label = node.mark, f"an entry of {label}"
        else:
            # A part of a jump host, which is one scalar in the file; or a branch of a union.
            if step in JumpHost.model_fields and isinstance(node, Scalar):
                label = f"the {step} in {label}"
            break
    return _TreePosition(node, key_mark, label, section)


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


def mismatch_message(label: str, node: Node, section: str, errors: Many[ErrorDetails]) -> str:
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


def missing_key(key: str, section: str) -> str:
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
        if isinstance(node, Scalar) and node.tag != TEXT:
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
        if section in ("start", "batch"):
            return f"true, false, or a mapping ({', '.join(SECTIONS[section])})"
        return f"a mapping with keys of its own ({', '.join(SECTIONS.get(section, ()))})"
    return _EXPECTED.get(kind, "something else")


def _mismatch(label: str, node: Node, expected: str) -> str:
    if not isinstance(node, Scalar):
        kind = "a list" if isinstance(node, Sequence) else "a mapping"
        return f"{label} must be {expected}, not {kind}"
    if node.tag == NULL:
        return f"{label} has no value: it must be {expected}; or remove the line"
    if node.quoted and (_NUMBER.fullmatch(node.text) or node.text in ("true", "false")):
        return f"{label} must be {expected}: remove the quotes"
    explanation = surprise(node.tag, node.text)
    if expected == "text" and node.tag != TEXT:
        return (
            f"{label} must be text{', and ' + explanation if explanation else ''}: put it in quotes"
        )
    return f"{label} must be {expected}" + (
        f"; {explanation}" if explanation else f", not {shown(node.text)}"
    )


TOP = ""
"""The section of the file's top-level keys."""

SECTIONS: dict[str, tuple[str, ...]] = {
    TOP: ("servers", "defaults"),
    "servers": tuple(Server.model_fields),
    "defaults": tuple(Server.model_fields),
    "auth": tuple(Auth.model_fields),
    "jupyter": tuple(Jupyter.model_fields),
    "start": tuple(StartOptions.model_fields),
    "environment": tuple(Environment.model_fields),
    "batch": tuple(BatchOptions.model_fields),
    "keepalive": tuple(Keepalive.model_fields),
    "forwards": (*Forward.model_fields, *Kind),
}

# Keywords of ssh_config(5) and of other programs, in the spelling of `_plain`.
_SYNONYMS = {
    "user": "username",
    "login": "username",
    "hostname": "host",
    "address": "host",
    "server": "host",
    "label": "name",
    "title": "name",
    "key": "identity_file",
    "keyfile": "identity_file",
    "sshkey": "identity_file",
    "identityagent": "agent",
    "sshauthsock": "agent",
    "proxyjump": "jump_hosts",
    "gateway": "jump_hosts",
    "bastion": "jump_hosts",
    "localforward": "forwards",
    "remoteforward": "forwards",
    "dynamicforward": "forwards",
    "sock": "socket",
    "tunnels": "forwards",
    "serveraliveinterval": "interval",
    "serveralivecountmax": "count_max",
    "timeout": "connect_timeout",
    "browser": "open_browser",
    "autoconnect": "connect_on_start",
    "autostart": "connect_on_start",
    "link": "url",
    "directory": "folder",
    "dir": "folder",
    "cwd": "folder",
    "workdir": "folder",
    "rootdir": "folder",
    "notebookdir": "folder",
    "env": "environment",
    "virtualenv": "venv",
    "modules": "module",
    "activate": "run",
    "args": "options",
    "arguments": "options",
    "launch": "start",
    "scheduler": "system",
    "walltime": "time",
    "timelimit": "time",
    "job": "batch",
    "slurm": "batch",
    "sbatch": "batch",
    "gridengine": "batch",
    "hosts": "servers",
}
_PLACES = {
    "auth": "under 'auth'",
    "jupyter": "under 'jupyter'",
    "keepalive": "under 'keepalive'",
    "start": "under 'start'",
    "environment": "under 'environment', below 'start'",
    "batch": "under 'batch'",
    "servers": "to an entry of 'servers'",
}
_LONGEST = 40


def _plain(key: str) -> str:
    return key.strip().lower().replace("_", "").replace("-", "")


_KNOWN_SPELLINGS = _SYNONYMS | {
    _plain(field): field for keys in SECTIONS.values() for field in keys
}


def unknown_key(key: str, section: str) -> str:
    """The message about a key that does not belong to a section."""
    return f"unknown key {shown(key)}{_hint(key, section)}"


def _hint(key: str, section: str) -> str:
    fields = SECTIONS.get(section, ())
    intended = _KNOWN_SPELLINGS.get(_plain(key), key)
    if intended in fields:
        return f": did you mean '{intended}'?"
    section_hint = _other_section(intended)
    if section_hint and _plain(intended) == _plain(
        key
    ):  # a correct spelling, whatever it resembles here
        return section_hint
    near = difflib.get_close_matches(key, fields, n=1) if len(key) <= _LONGEST else []
    if near:
        return f": did you mean '{near[0]}'?"
    return section_hint or f"; known here: {', '.join(fields)}"


def _other_section(key: str) -> str:
    """The section that a key belongs to; empty for an unknown one."""
    for other, place in _PLACES.items():
        if key in SECTIONS[other]:
            return f": '{key}' belongs {place}"
    return f": '{key}' belongs at the left margin" if key in SECTIONS[TOP] else ""
