"""What the commands ask of the running app, and how they print its replies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from trayconnect.core.command import Command
from trayconnect.core.errors import Problem, ProblemError

# Imported where it is needed: `trayconnect status` must not wait for SSH.
if TYPE_CHECKING:
    from trayconnect.control.protocol import Reply


def call(command: Command, patience: float = 10.0) -> Reply:
    """The running app's answer, within `patience` seconds and those that the command asks to wait.
    Raises `ProblemError`, also for one that is not ok."""
    from trayconnect.control.client import ControlClient
    from trayconnect.control.place import runtime_folder

    return expect_ok(ControlClient(runtime_folder()).call(command, patience))


def expect_ok(reply: Reply) -> Reply:
    if reply.problem is not None:
        raise ProblemError(reply.problem)
    return reply


def print_jupyters(reply: Reply) -> None:
    """Raises `ProblemError` if there are none."""
    from trayconnect.control.status import to_jupyter_lines

    data: Any = reply.data
    lines = to_jupyter_lines(data)
    if not lines:
        (server,) = data["servers"]
        if server["state"] != "up":
            raise ProblemError(
                Problem(f"{server['name']} is not connected", "Connect it to have them looked for")
            )
        raise ProblemError(
            Problem(f"No Jupyter server of yours was found on {server['name']}", "Start one there")
        )
    for line in lines:
        click.echo(line)


def print_status(reply: Reply) -> None:
    from trayconnect.control.status import to_lines

    data: Any = reply.data
    for line in to_lines(data):
        click.echo(line)
