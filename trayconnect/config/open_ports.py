"""Warnings about local ports that other computers can reach; they are allowed."""

from __future__ import annotations

from pathlib import Path

from trayconnect.config.file_problems import WHOLE_FILE, FileProblem
from trayconnect.config.forward_syntax import Kind
from trayconnect.config.local_addresses import is_loopback
from trayconnect.config.locations import mark_of
from trayconnect.config.model import Config


def open_port_warnings(config: Config, text: str, path: Path) -> tuple[FileProblem, ...]:
    """A warning for each `bind_address` of `config` that admits other computers; `text` was read
    from `path`."""
    found = []
    for index, server in enumerate(config.servers):
        if not server.is_direct and not is_loopback(server.bind_address):
            mark = mark_of(text, index, "bind_address")
            message = _message(server.bind_address, f"the local ports of “{server.name}”")
            found.append(FileProblem(path, *mark, message))
        for number, forward in enumerate(server.forwards):
            address = forward.bind_address
            if forward.kind is Kind.REMOTE or address is None or is_loopback(address):
                continue
            mark = mark_of(text, index, "forwards", number, "bind_address")
            if mark == WHOLE_FILE:  # in OpenSSH's syntax
                mark = mark_of(text, index, "forwards", number)
            message = _message(address, f"“{forward.name}” of “{server.name}”")
            found.append(FileProblem(path, *mark, message))
    return tuple(found)


def _message(address: str, what: str) -> str:
    return (
        f"bind_address {address}: other computers can connect to {what}. Only this computer can "
        "with: localhost"
    )
