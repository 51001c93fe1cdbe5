"""A JSON Schema (2020-12) of the file as users write it, for completion and checks in editors.

Generated from the types, which describe the file after `defaults` and derived ports are filled in;
this module corrects the differences."""

from __future__ import annotations

from typing import Any

from trayconnect.config.forward_entries import OPTION_PATTERN
from trayconnect.config.forward_model import DERIVED, SHAPES, excluded, required_keys
from trayconnect.config.forward_syntax import FORMS, Kind
from trayconnect.config.model import DIRECT_KEYS, OWN_KEYS, Server

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, object]:
    """The schema of a whole file."""
    server = Server.model_json_schema()
    definitions: dict[str, Any] = server.pop("$defs")
    for definition in (server, *definitions.values()):
        _as_written(definition)
    definitions["Forward"] = _forward(definitions["Forward"])
    definitions["Jupyter"]["not"] = _both("socket", ("host", "port"))
    server["properties"]["forwards"]["items"] = _either(
        {"type": "string", "pattern": OPTION_PATTERN}, {"$ref": "#/$defs/Forward"}
    )
    server["properties"]["start"] = {
        "anyOf": [{"type": "boolean"}, {"$ref": "#/$defs/StartOptions"}],
        "description": server["properties"]["start"]["description"],
    }
    server["properties"]["batch"] = {
        "anyOf": [{"type": "boolean"}, {"$ref": "#/$defs/BatchOptions"}],
        "description": server["properties"]["batch"]["description"],
    }
    environment = definitions["Environment"]
    environment |= {"minProperties": 1, "maxProperties": 1}
    started = definitions["StartOptions"]["properties"]
    started["environment"] = {
        "anyOf": [{"type": "string", "minLength": 1}, {"$ref": "#/$defs/Environment"}],
        "description": started["environment"]["description"],
    }
    definitions["Server"] = server | {"allOf": [_direct_takes_little()]}
    definitions["Defaults"] = _defaults(server)
    return {
        "$schema": _DIALECT,
        "title": "The servers of trayconnect",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "servers": {
                "type": ["array", "null"],
                "description": "The entries of the menu, in its order.",
                "items": {"$ref": "#/$defs/Server"},
            },
            "defaults": {
                "description": "What servers share; a server's own value comes first.",
                "anyOf": [{"$ref": "#/$defs/Defaults"}, {"type": "null"}],
            },
        },
        "if": {
            "properties": {"defaults": {"type": "object", "required": ["host"]}},
            "required": ["defaults"],
        },
        "else": {"properties": {"servers": {"items": _host_or_url()}}},
        "$defs": definitions,
    }


def _as_written(definition: dict[str, Any]) -> None:
    """Pydantic's schema of the types, corrected for the file."""
    for name, value in definition["properties"].items():
        value.pop("title", None)  # the key's name again, capitalised
        if value.get("default") is None or isinstance(value["default"], dict):
            value.pop("default", None)  # the parts of a mapping have titles of their own
        branches = [branch for branch in value.get("anyOf", ()) if branch != {"type": "null"}]
        if len(branches) == 1:
            del value["anyOf"]
            definition["properties"][name] = value = branches[0] | value
        value.pop("format", None)  # "path", a format of pydantic's own
    if "required" in definition:
        definition["required"] = [key for key in definition["required"] if key != DERIVED]


def _forward(definition: dict[str, Any]) -> dict[str, Any]:
    """Each kind has keys of its own; OpenSSH's syntax replaces most of them."""
    words = {
        kind.value: {
            "type": ["string", "integer"] if kind is Kind.DYNAMIC else "string",
            "description": f"As in OpenSSH: {FORMS[kind]}.",
        }
        for kind in Kind
    }
    kinds = [_of_kind(kind, set(definition["properties"])) for kind in Kind]
    in_openssh_syntax = [_in_openssh_syntax(kind, set(definition["properties"])) for kind in Kind]
    del definition["required"]
    return definition | {
        "properties": definition["properties"] | words,
        "oneOf": [*kinds, *in_openssh_syntax],
    }


def _of_kind(kind: Kind, every: set[str]) -> dict[str, Any]:
    shape = SHAPES[kind]
    others = every - set(shape.keys) | set(Kind)
    constraints = {"properties": {"kind": {"const": kind.value}}}
    # A tool supplies what its forward leaves out.
    tool = [{"required": ["tool"]}] if kind is Kind.LOCAL else []
    needed = [
        _either({"required": [port]}, {"required": [socket]}, *tool)
        for port, socket in required_keys(shape)
    ]
    wrong = [{"required": [key]} for key in sorted(others)]
    wrong += [_both(key, (other,)) for key, other in excluded(shape)]
    named = _either({"required": ["name"]}, *tool)
    required = [] if kind is Kind.LOCAL else ["kind"]
    return constraints | {
        "required": required,
        "allOf": [named, *needed, {"not": {"anyOf": wrong}}],
    }


def _in_openssh_syntax(kind: Kind, every: set[str]) -> dict[str, Any]:
    allowed = {"name", "open"} if kind is Kind.LOCAL else {"name"}
    others = (every | set(Kind)) - allowed - {kind.value}
    wrong = [{"required": [key]} for key in sorted(others)]
    return {"required": [kind.value], "not": {"anyOf": wrong}}


def _both(key: str, others: tuple[str, ...]) -> dict[str, Any]:
    return {"required": [key], "anyOf": [{"required": [other]} for other in others]}


def _either(*branches: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": list(branches)}


def _defaults(server: dict[str, Any]) -> dict[str, Any]:
    shared = {key: value for key, value in server["properties"].items() if key not in OWN_KEYS}
    description = "Values for every server that does not set its own."
    return {
        "title": "Defaults",
        "description": description,
        "type": "object",
        "additionalProperties": False,
        "properties": shared,
    }


def _direct_takes_little() -> dict[str, Any]:
    tunnel_keys = sorted(set(Server.model_fields) - DIRECT_KEYS)
    return {
        "if": {"required": ["url"]},
        "then": {"not": {"anyOf": [{"required": [key]} for key in tunnel_keys]}},
    }


def _host_or_url() -> dict[str, Any]:
    return {"anyOf": [{"required": ["host"]}, {"required": ["url"]}]}
