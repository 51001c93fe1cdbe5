"""Suggests the key that was meant by an unknown one."""

from __future__ import annotations

import difflib

from trayconnect.config.forward_syntax import Kind
from trayconnect.config.model import Auth, Forward, Jupyter, Keepalive, Server
from trayconnect.config.scalars import shown
from trayconnect.config.start_options import Environment, StartOptions

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
    "hosts": "servers",
}
_PLACES = {
    "auth": "under 'auth'",
    "jupyter": "under 'jupyter'",
    "keepalive": "under 'keepalive'",
    "start": "under 'start'",
    "environment": "under 'environment', below 'start'",
    "servers": "to an entry of 'servers'",
}
_LONGEST = 40


def _plain(key: str) -> str:
    return key.strip().lower().replace("_", "").replace("-", "")


_KNOWN_SPELLINGS = _SYNONYMS | {
    _plain(field): field for keys in SECTIONS.values() for field in keys
}


def describe(key: str, section: str) -> str:
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
    return f": '{key}' stands at the left margin" if key in SECTIONS[TOP] else ""
