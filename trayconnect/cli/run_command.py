"""The commands that run the app: run, demo, autostart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from trayconnect.cli import streams
from trayconnect.cli.app_commands import call, expect_file, expect_ok, print_status
from trayconnect.core.command import Command
from trayconnect.core.errors import Problem, ProblemError, Recovery

if TYPE_CHECKING:
    from trayconnect.control.protocol import Reply


config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The server file. Default: that of the running app, or the usual one.",
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
    """Run the tray app in the foreground. A second start hands over to the first."""
    from trayconnect.app.program import App, Options
    from trayconnect.core import logs
    from trayconnect.desktop.windows_console import windowed_program

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
        return 0 if found is None else _handed_over(found, config, connect)
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
    return 0 if reply is None else _handed_over(reply, config, connect)


def _handed_over(reply: Reply, config: Path | None, connect: tuple[str, ...]) -> int:
    expect_ok(reply)
    expect_file(config)
    click.echo("trayconnect is running already.")
    for name in connect:
        print_status(call(Command("connect", name)))
    return 0


@click.command()
@click.option("--once", is_flag=True, help="End as soon as the page answers through the tunnel.")
@click.option("--no-tray", is_flag=True, help="Run without an icon.")
@click.pass_context
def demo(context: click.Context, once: bool, no_tray: bool) -> int:
    """Try trayconnect with an SSH server and a JupyterLab on this machine."""
    from trayconnect.cli import demo
    from trayconnect.core import logs

    logs.set_up(to_stderr=False, verbose=context.obj["verbose"])
    try:
        return demo.run(once=once, tray=not no_tray, say=click.echo)
    finally:
        logs.shut_down()


if TYPE_CHECKING:
    from trayconnect.control.protocol import Reply


def run_windowed(
    program: Path, config: Path | None, connect: tuple[str, ...], *, at_login: bool
) -> Reply | None:
    """Start `program`, which has no console (Windows), and return None when it answers; return the
    reply of an app that is running already. Raises `ProblemError`."""
    from trayconnect.control.client import SHOW
    from trayconnect.core import logs
    from trayconnect.core.subprocesses import path_for_others
    from trayconnect.desktop import windows_console
    from trayconnect.desktop.programs import ProgramError
    from trayconnect.tray.icon_place import PLACE

    found = _reply(SHOW)
    if found is not None:
        return found
    options = (
        *(("--config", str(config)) if config is not None else ()),
        *(("--at-login",) if at_login else ()),
        *(word for name in connect for word in ("--connect", name)),
    )
    title = "trayconnect did not start"
    try:
        code = windows_console.start(
            [str(program), "run", *options], lambda: _reply(Command("status")) is not None
        )
    except ProgramError as error:
        advice = f"{error}. Look for the reason in the log: {path_for_others(logs.log_file())}"
        raise ProblemError(Problem(title, advice)) from error
    if code:
        raise ProblemError(Problem(title, "A window showed the reason."))
    click.echo(f"trayconnect is running. {PLACE}.")
    return None


def _reply(command: Command) -> Reply | None:
    """The running app's reply; None if there is no app, or it is starting or quitting."""
    from trayconnect.control.client import ControlClient, NotRunningError
    from trayconnect.control.place import runtime_folder

    try:
        return ControlClient(runtime_folder()).call(command)
    except NotRunningError:
        return None
    except ProblemError as error:
        if error.problem.recovery is not Recovery.RETRY:
            raise
        return None


@click.command("autostart")
@click.argument("what", type=click.Choice(["on", "off", "status"]), default="status")
def autostart_command(what: str) -> None:
    """Start at login: on, off, or print which."""
    from trayconnect.desktop.autostart.entry import autostart

    entry = autostart()
    if what == "on":
        entry.turn_on()
    elif what == "off":
        entry.turn_off()
    click.echo("on" if entry.is_on() else "off")
