"""The commands on the Jupyter of a server of the running app."""

from __future__ import annotations

import sys
from typing import Any

import click

from trayconnect.cli.ask_app import call, print_jupyters, print_status
from trayconnect.core.command import Command
from trayconnect.core.errors import Problem, ProblemError

_AT_SERVER = 120.0
"""Seconds for an answer that takes a command on the server: its login shell alone may need 60, and
a Jupyter that is stopped 30 more."""
_MOVE_LIMIT = 10.0
"""Seconds for the local port to lead to another Jupyter."""


_start_wait = click.option(
    "--wait",
    type=click.FloatRange(min=0, min_open=True, max=86_400),
    default=180.0,
    show_default=True,
    metavar="SECONDS",
    help="Fail if its page does not answer within so many seconds.",
)


@click.command()
@click.argument("name")
@_start_wait
def start(name: str, wait: float) -> None:
    """Start Jupyter on the server NAME, as its entry says; connects it first where needed.

    It outlives the tunnel. One that runs there already is found."""
    print_status(call(Command("start-jupyter", name, {"wait": wait})))


@click.command()
@click.argument("name")
def servers(name: str) -> None:
    """Print the Jupyter servers that run on the connected server NAME; * marks the one in use."""
    print_jupyters(call(Command("status", name)))


_force = click.option("--force", is_flag=True, help="Do not ask, whatever runs there.")


@click.command()
@click.argument("name")
@_force
def stop(name: str, force: bool) -> None:
    """Stop the Jupyter of the connected server NAME, with its kernels; the tunnel stays."""
    identity = "" if force else _confirmed("Stop", name)
    call(Command("stop-jupyter", name, {"identity": identity}), _AT_SERVER)


@click.command()
@click.argument("name")
@_force
@_start_wait
def restart(name: str, force: bool, wait: float) -> None:
    """Stop the Jupyter of the connected server NAME, and start one as its entry says."""
    identity = "" if force else _confirmed("Restart", name)
    print_status(
        call(Command("restart-jupyter", name, {"identity": identity, "wait": wait}), _AT_SERVER)
    )


def _confirmed(verb: str, name: str) -> str:
    """The identity of the Jupyter in use. Raises `ProblemError` unless it may be stopped."""
    running: Any = call(Command("jupyter-losses", name), _AT_SERVER).data
    losses, identity = running["losses"], str(running["identity"])
    if not losses:
        return identity
    if not sys.stdin.isatty():
        advice = f"{losses}\nUse --force to stop it anyway."
        raise ProblemError(Problem(f"Jupyter on {name} was not stopped", advice))
    if running["label"]:
        click.echo(f"Jupyter runs in {running['label']}.", err=True)
    click.echo(losses, err=True)
    if not click.confirm(f"{verb} Jupyter on {name}?", default=False, err=True):
        raise ProblemError(Problem("Jupyter was not stopped", "It goes on as before."))
    return identity


@click.command("log")
@click.argument("name")
def log_command(name: str) -> None:
    """Print the log of the Jupyter that trayconnect started on the connected server NAME."""
    data: Any = call(Command("jupyter-log", name), _AT_SERVER).data
    click.echo(data["log"], nl=False)


@click.command()
@click.argument("name")
@click.argument("which", metavar="PORT_OR_FOLDER")
def choose(name: str, which: str) -> None:
    """Use another Jupyter of the server NAME: by its port, its socket or its folder."""
    print_jupyters(call(Command("choose-jupyter", name, {"jupyter": which, "wait": _MOVE_LIMIT})))
