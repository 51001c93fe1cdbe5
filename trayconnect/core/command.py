"""A command of the user. The menu, notices, the status window, the control socket and the command
line carry a `Command`; the dispatcher of `actions/` finds its handler."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
Argument: TypeAlias = "str | float"
"""A text, or seconds."""

WAIT_MAX = 86_400.0
"""Limit for seconds in an argument."""


@dataclass(frozen=True, slots=True)
class Command:
    """`name` is one of the dispatcher's, `server` an entry of the file. Equal commands mean the
    same."""

    name: str
    server: str = ""
    arguments: Mapping[str, Argument] = field(default_factory=dict, hash=False)

    def text(self, key: str) -> str:
        """The argument `key`; empty if it is missing."""
        return str(self.arguments.get(key, ""))

    @property
    def wait(self) -> float | None:
        """Seconds to wait for the result; None: do not wait."""
        seconds = self.arguments.get("wait")
        return float(seconds) if isinstance(seconds, int | float) else None


@dataclass(frozen=True, slots=True)
class Button:
    """A button or a line of a menu."""

    text: str
    command: Command
    enabled: bool = True
    checked: bool | None = None
    """None where there is no check mark."""


def to_json(command: Command) -> dict[str, Any]:
    """The command as JSON. Raises `ValueError` for an invalid argument."""
    _check(command.arguments)
    return asdict(command)


def from_json(value: object) -> Command:
    """Parse the output of `to_json`. Raises `ValueError` for anything else."""
    if not isinstance(value, dict) or value.keys() != {"name", "server", "arguments"}:
        raise ValueError("a command has a name, a server and arguments")
    name, server, arguments = value["name"], value["server"], value["arguments"]
    is_text = isinstance(name, str) and isinstance(server, str)
    if not is_text or not isinstance(arguments, dict):
        raise ValueError("the name and the server are texts, the arguments an object")
    _check(arguments)
    return Command(name, server, arguments)


def _check(arguments: Mapping[str, object]) -> None:
    for key, value in arguments.items():
        if not _is_argument(value):
            raise ValueError(f"{key} must be a text, or 0 to {WAIT_MAX:.0f} seconds")


def _is_argument(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, str) or (isinstance(value, int | float) and 0 <= value <= WAIT_MAX)


def name_on_command_line(name: str) -> str:
    """The name of a server as a user types it after a command, in a POSIX shell and in cmd.exe."""
    if name.isalnum():
        return name
    return shlex.quote(name) if any(sign in name for sign in '"$`\\!%') else f'"{name}"'
