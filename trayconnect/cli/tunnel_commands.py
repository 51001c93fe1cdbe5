"""The commands that connect, disconnect and open a server of the running app."""

from __future__ import annotations

from typing import Any

import click

from trayconnect.cli.ask_app import call, print_status
from trayconnect.core.command import Command

_PROOF_LIMIT = 8.0
"""Seconds for a page to prove that it answers, before it opens."""


@click.command()
@click.argument("name")
@click.option(
    "--wait",
    type=click.FloatRange(min=0, min_open=True, max=86_400),
    metavar="SECONDS",
    help="Return when its page answers, or fail after so many seconds.",
)
def connect(name: str, wait: float | None) -> None:
    """Connect the server NAME of the running app."""
    print_status(call(Command("connect", name, {} if wait is None else {"wait": wait})))


@click.command()
@click.argument("name")
def disconnect(name: str) -> None:
    """Disconnect the server NAME of the running app."""
    call(Command("disconnect", name))


@click.command("open")
@click.argument("name")
def open_command(name: str) -> None:
    """Open the page of the server NAME; connects it first where needed."""
    print_status(call(Command("open", name, {"wait": _PROOF_LIMIT})))


@click.command()
@click.argument("name")
@click.option(
    "--wait",
    type=click.FloatRange(min=0, min_open=True, max=86_400),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Fail if no page answers within so many seconds.",
)
def link(name: str, wait: float) -> None:
    """Print the link to the Jupyter of the server NAME, with its token: for VS Code, PyCharm, jlab.

    Connects the server first where needed. The link is a secret: it logs in."""
    data: Any = call(Command("link", name, {"wait": wait})).data
    click.echo(data["link"])
    if data["why"]:
        click.echo(data["why"], err=True)
