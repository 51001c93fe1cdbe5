"""Entries for tests."""

from __future__ import annotations

from typing import Any

from trayconnect.config.model import Server


def make_server(name: str = "GPU box", **changes: Any) -> Server:
    """A valid entry, with anything in it changed as the file would say it."""
    fields: dict[str, Any] = {"name": name, "host": "gpu.example.org", "local_port": 18888}
    return Server.model_validate(fields | changes)
