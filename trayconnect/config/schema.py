"""A JSON Schema (2020-12) of the file as users write it, for editors to complete and to check.

Generated from the types, which hold the file after `defaults` and derived ports were filled in;
what differs before that is changed here.
"""

from __future__ import annotations

from typing import Any

from trayconnect.config.defaults import DIRECT_KEYS, OWN_KEYS
from trayconnect.config.model import Server

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DERIVED = "local_port"


def json_schema() -> dict[str, object]:
    """The schema of a whole file."""
    server = Server.model_json_schema()
    definitions: dict[str, Any] = server.pop("$defs")
    for definition in (server, *definitions.values()):
        _as_written(definition)
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
    """What pydantic says of the types, as it holds for the file."""
    for name, value in definition["properties"].items():
        value.pop("title", None)  # the key again, with a capital
        if value.get("default") is None or isinstance(value["default"], dict):
            value.pop("default", None)  # the parts of a mapping have their own
        branches = [branch for branch in value.get("anyOf", ()) if branch != {"type": "null"}]
        if len(branches) == 1:
            del value["anyOf"]
            definition["properties"][name] = value = branches[0] | value
        value.pop("format", None)  # "path", which is pydantic's own
    if "required" in definition:
        definition["required"] = [key for key in definition["required"] if key != _DERIVED]


def _defaults(server: dict[str, Any]) -> dict[str, Any]:
    shared = {key: value for key, value in server["properties"].items() if key not in OWN_KEYS}
    description = "Whatever is said here holds for every server that does not say it itself."
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
