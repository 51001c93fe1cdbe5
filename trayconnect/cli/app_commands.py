"""The commands that concern the app itself: status, reload, quit, autostart."""

from __future__ import annotations

import click

from trayconnect.cli import streams
from trayconnect.cli.ask_app import call, print_status
from trayconnect.core.command import Command


@click.command()
def reload() -> None:
    """Let the running app read its server file now."""
    call(Command("reload"))


@click.command("quit")
def quit_command() -> None:
    """Disconnect everything and end the running app."""
    call(Command("quit"))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def status(as_json: bool) -> None:
    """Print what the running app knows of its servers."""
    reply = call(Command("status"))
    if as_json:
        click.echo(streams.as_json(reply.data))
    else:
        print_status(reply)


@click.command("autostart")
@click.argument("what", type=click.Choice(["on", "off", "status"]), default="status")
def autostart_command(what: str) -> None:
    """Start at login: on, off, or what it is now."""
    from trayconnect.desktop.autostart.entry import autostart

    entry = autostart()
    if what == "on":
        entry.turn_on()
    elif what == "off":
        entry.turn_off()
    click.echo("on" if entry.is_on() else "off")
