"""The commands that run the app: run, demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from trayconnect.cli import streams
from trayconnect.cli.ask_app import call, expect_ok, print_status
from trayconnect.cli.windowed import run_windowed
from trayconnect.core.command import Command
from trayconnect.core.errors import Problem, ProblemError

if TYPE_CHECKING:
    from trayconnect.control.protocol import Reply


config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The server file, in place of the default one.",
)


@click.command("run")
@config_option
@click.option("--no-tray", is_flag=True, help="Run without an icon, and log to stderr.")
@click.option("--connect", multiple=True, metavar="NAME", help="Connect this server at once.")
@click.option("--at-login", is_flag=True, help="Wait for the panel, which may start later.")
@click.pass_context
def run_command(
    context: click.Context,
    config: Path | None = None,
    no_tray: bool = False,
    at_login: bool = False,
    connect: tuple[str, ...] = (),
) -> int:
    """Run the tray app in the foreground; a second one hands over to the first."""
    from trayconnect.app.program import App, Options
    from trayconnect.core import logs
    from trayconnect.desktop.windowed_program import windowed_program

    config = config or context.obj["config"]
    if config is not None and not config.exists():
        raise ProblemError(
            Problem(
                f"There is no file {config}",
                "Correct the path after --config, or save an empty file there to begin a new one.",
            )
        )
    program = None if no_tray or context.obj["verbose"] else windowed_program()
    if program is not None:
        found = run_windowed(program, config, connect, at_login=at_login)
        return 0 if found is None else _handed_over(found, connect)
    logs.set_up(to_stderr=no_tray, verbose=context.obj["verbose"])
    try:
        options = Options(
            config=config,
            tray=not no_tray,
            at_login=at_login,
            connect=connect,
            say=streams.tell,
        )
        reply = App(options).run()
    finally:
        logs.shut_down()
    if reply is None:
        return 0
    return _handed_over(reply, connect)


def _handed_over(reply: Reply, connect: tuple[str, ...]) -> int:
    expect_ok(reply)
    click.echo("trayconnect is running already.")
    for name in connect:
        print_status(call(Command("connect", name)))
    return 0


@click.command()
@click.option("--once", is_flag=True, help="End when the page has answered through the tunnel.")
@click.option("--no-tray", is_flag=True, help="Run without an icon.")
@click.pass_context
def demo(context: click.Context, once: bool, no_tray: bool) -> int:
    """Try it: an SSH server and a JupyterLab on this machine, and the app connected to them."""
    from trayconnect.cli import demo
    from trayconnect.core import logs

    logs.set_up(to_stderr=False, verbose=context.obj["verbose"])
    try:
        return demo.run(once=once, tray=not no_tray, say=click.echo)
    finally:
        logs.shut_down()
