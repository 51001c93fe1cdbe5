"""The commands for whose page the user waits, without the imports of the others.

The request goes out first. Everything unusual is left to `main`: options, help, problems."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trayconnect.core.command import Command

PROOF_LIMIT = 8.0
"""Seconds for a page to prove that it answers, before it opens."""
_COMMANDS: dict[str, dict[str, str | float]] = {"connect": {}, "open": {"wait": PROOF_LIMIT}}
_COMPLETION = "_TRAYCONNECT_COMPLETE"
"""Set by click's shell completion."""


def run(arguments: Sequence[str]) -> int | None:
    """Carry out `connect NAME` or `open NAME`, and return the exit code; None for any other command
    line."""
    match arguments:
        case [command, name] if command in _COMMANDS and name and not name.startswith("-"):
            pass
        case _:
            return None
    if _COMPLETION in os.environ:
        return None
    from trayconnect.cli import streams
    from trayconnect.core.command import Command
    from trayconnect.core.privacy import no_core_dumps

    streams.prepare()
    no_core_dumps()
    try:
        _carry_out(Command(command, name, _COMMANDS[command]))
    except BaseException as error:  # noqa: BLE001 - reported there
        from trayconnect.cli.main import report

        return report(error, arguments)
    from trayconnect.cli.folders import check_folders

    check_folders()
    return 0


def _carry_out(command: Command) -> None:
    from trayconnect.cli.status_text import to_lines
    from trayconnect.control.client import ControlClient
    from trayconnect.control.place import runtime_folder
    from trayconnect.core.errors import ProblemError

    reply = ControlClient(runtime_folder()).call(command)
    if reply.problem is not None:
        raise ProblemError(reply.problem)
    data: Any = reply.data
    print(*to_lines(data), sep="\n", flush=True)
