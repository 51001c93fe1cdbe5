"""The commands. Exit codes: 0 done, 1 a problem the user can mend, 2 wrong usage, 3 our bug."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trayconnect import __version__, streams
from trayconnect.cli_doctor import doctor_command
from trayconnect.cli_servers import add_command, check_ssh_config, import_command
from trayconnect.cli_terminal import terminal_command
from trayconnect.cli_windowed import run_windowed
from trayconnect.desktop.windowed import show_message
from trayconnect.errors import Problem, ProblemError
from trayconnect.processes import path_for_others

# What a command needs is imported where it is needed: `trayconnect status` must not wait for SSH.
if TYPE_CHECKING:
    from trayconnect.control.protocol import Reply, Request

MENDABLE, USAGE, BUG = 1, 2, 3
_AT_SERVER = 120.0
"""Seconds for an answer that takes a command on the server: its login shell alone may need 60, and
a Jupyter that is stopped 30 more."""
_WHOLE = 1000
"""Characters: no first sentence of a command's help is longer."""


def main() -> None:
    """The program's entry point; never shows a traceback."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; its exit code."""
    from trayconnect.desktop import helpers
    from trayconnect.desktop.redirect_page import remove_left
    from trayconnect.privacy import close_to_others, no_core_dumps, own_folders

    streams.prepare()
    if arguments[:1] == [helpers.HELPER_ARGUMENT]:
        return helpers.main(arguments[1:])
    no_core_dumps()
    for folder in close_to_others(own_folders()):
        click.echo(f"Other users could write to {folder}.", err=True)
        click.echo("  It is closed to them now. Check that what is in it is yours.", err=True)
    with suppress(RuntimeError):  # the system knows no home folder of this user
        remove_left(os.environ, Path.home())
    try:
        code = cli.main(arguments, prog_name="trayconnect", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted", err=True)
        return 130
    except ProblemError as error:
        show_problem(error.problem, in_window=_begins_app(arguments))
        return MENDABLE
    except Exception as error:  # noqa: BLE001 - the last resort: a person gets a log to paste
        return MENDABLE if streams.is_gone(error) else _bug(in_window=_begins_app(arguments))
    return code if isinstance(code, int) else 0


def _begins_app(arguments: list[str]) -> bool:
    """Whether these begin the app: a person waits for its icon. A command that has no stderr may
    be one of a script, which would wait for an answer to a window without end."""
    return next((word for word in arguments if word in cli.commands), "run") == "run"


def show_problem(problem: Problem, *, in_window: bool = False) -> None:
    """A title, then what to do, on stderr; where there is none, in a window if asked to."""
    if in_window and streams.lacks("stderr"):
        show_message(problem.title, problem.advice)
    click.echo(problem.title, err=True)
    for line in problem.advice.splitlines():
        click.echo(f"  {line}", err=True)


def _bug(*, in_window: bool) -> int:
    from trayconnect import logs

    if not logs.logger.handlers:
        logs.set_up(to_stderr=False)
    logging.getLogger(__name__).exception("trayconnect %s met a defect of its own", __version__)
    logs.shut_down()
    advice = f"The end of this log tells where: {path_for_others(logs.log_file())}"
    show_problem(Problem("This is a bug in trayconnect.", advice), in_window=in_window)
    return BUG


config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The server file, in place of the default one.",
)


class _Commands(click.Group):
    """Its help shows the first sentence of each command whole, on as many lines as it needs."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        commands = [(name, self.commands[name]) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, command.get_short_help_str(limit=_WHOLE))
                    for name, command in commands
                    if not command.hidden
                ]
            )


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="trayconnect")
@config_option
@click.option("--verbose", is_flag=True, help="Log everything, to stderr too.")
@click.pass_context
def cli(context: click.Context, config: Path | None, verbose: bool) -> None:
    """Open SSH tunnels to Jupyter servers from the tray. Without a command: run."""
    context.obj = {"config": config, "verbose": verbose}
    if context.invoked_subcommand is None:
        context.invoke(run_command)


@cli.command("run")
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
    from trayconnect import logs
    from trayconnect.app import App, Options
    from trayconnect.desktop.windowed import windowed_program

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
    _expect_ok(reply)
    click.echo("trayconnect is running already.")
    return _connect_there(connect)


def _connect_there(names: tuple[str, ...]) -> int:
    """Ask the program that runs already to connect these."""
    from trayconnect.control.protocol import Command, Request

    for name in names:
        _print_servers(_call(Request(Command.CONNECT, name)))
    return 0


@cli.command()
@click.argument("name")
@click.option(
    "--wait",
    type=click.FloatRange(min=0, min_open=True, max=86_400),
    metavar="SECONDS",
    help="Return when its page answers, or fail after so many seconds.",
)
def connect(name: str, wait: float | None) -> None:
    """Connect the server NAME of the running app."""
    from trayconnect.control.protocol import Command, Request

    _print_servers(_call(Request(Command.CONNECT, name, wait)))


@cli.command()
@click.argument("name")
def disconnect(name: str) -> None:
    """Disconnect the server NAME of the running app."""
    from trayconnect.control.protocol import Command, Request

    _call(Request(Command.DISCONNECT, name))


@cli.command("open")
@click.argument("name")
def open_command(name: str) -> None:
    """Open the page of the server NAME; connects it first where needed."""
    from trayconnect.control.protocol import Command, Request

    _print_servers(_call(Request(Command.OPEN, name)))


@cli.command()
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
    from trayconnect.control.protocol import Command, Request

    data: Any = _call(Request(Command.LINK, name, wait)).data
    click.echo(data["link"])
    if data["why"]:
        click.echo(data["why"], err=True)


_start_wait = click.option(
    "--wait",
    type=click.FloatRange(min=0, min_open=True, max=86_400),
    default=180.0,
    show_default=True,
    metavar="SECONDS",
    help="Fail if its page does not answer within so many seconds.",
)


@cli.command()
@click.argument("name")
@_start_wait
def start(name: str, wait: float) -> None:
    """Start Jupyter on the server NAME, as its entry says; connects it first where needed.

    It outlives the tunnel. One that runs there already is found."""
    from trayconnect.control.protocol import Command, Request

    _print_servers(_call(Request(Command.START, name, wait)))


@cli.command()
@click.argument("name")
def servers(name: str) -> None:
    """Print the Jupyter servers that run on the connected server NAME; * marks the one in use."""
    from trayconnect.control.protocol import Command, Request

    _print_jupyters(_call(Request(Command.STATUS, name)))


_force = click.option("--force", is_flag=True, help="Do not ask, whatever runs there.")


@cli.command()
@click.argument("name")
@_force
def stop(name: str, force: bool) -> None:
    """Stop the Jupyter of the connected server NAME, with its kernels; the tunnel stays."""
    from trayconnect.control.protocol import Command, Request

    identity = None if force else _confirmed("Stop", name)
    _call(Request(Command.STOP, name, choice=identity), _AT_SERVER)


@cli.command()
@click.argument("name")
@_force
@_start_wait
def restart(name: str, force: bool, wait: float) -> None:
    """Stop the Jupyter of the connected server NAME, and start one as its entry says."""
    from trayconnect.control.protocol import Command, Request

    identity = None if force else _confirmed("Restart", name)
    _print_servers(_call(Request(Command.RESTART, name, wait, identity), _AT_SERVER))


def _confirmed(verb: str, name: str) -> str:
    """The identity of the Jupyter in use. Raises `ProblemError` unless it may be stopped."""
    from trayconnect.control.protocol import Command, Request

    running: Any = _call(Request(Command.LOSSES, name), _AT_SERVER).data
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


@cli.command("log")
@click.argument("name")
def log_command(name: str) -> None:
    """Print the log of the Jupyter that trayconnect started on the connected server NAME."""
    from trayconnect.control.protocol import Command, Request

    data: Any = _call(Request(Command.JUPYTER_LOG, name), _AT_SERVER).data
    click.echo(data["log"], nl=False)


@cli.command()
@click.argument("name")
@click.argument("which", metavar="PORT_OR_FOLDER")
def choose(name: str, which: str) -> None:
    """Use another Jupyter of the server NAME: by its port, its socket or its folder."""
    from trayconnect.control.protocol import Command, Request

    _print_jupyters(_call(Request(Command.CHOOSE, name, choice=which)))


@cli.command()
def reload() -> None:
    """Let the running app read its server file now."""
    from trayconnect.control.protocol import Command, Request

    _call(Request(Command.RELOAD))


@cli.command("quit")
def quit_command() -> None:
    """Disconnect everything and end the running app."""
    from trayconnect.control.protocol import Command, Request

    _call(Request(Command.QUIT))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def status(as_json: bool) -> None:
    """Print what the running app knows of its servers."""
    from trayconnect.control.protocol import Command, Request

    data = _call(Request(Command.STATUS)).data
    if as_json:
        click.echo(streams.as_json(data))
    else:
        _print_status(data)


@cli.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the file instead.")
@click.pass_context
def check(context: click.Context, file: Path | None, schema: bool) -> int:
    """Read the server file and print every problem as FILE:LINE:COLUMN.

    A key that could not log in and a port that other computers can connect to are warnings: the
    file is in force all the same, and the exit code is 0."""
    from trayconnect.config.open_ports import open_port_warnings
    from trayconnect.config.places import config_file
    from trayconnect.config.schema import json_schema
    from trayconnect.config.yaml_file import ConfigError, parse, read_text
    from trayconnect.key_warnings import exposed, key_warnings

    if schema:
        click.echo(streams.as_json(json_schema()))
        return 0
    path = config_file(file or context.obj["config"])
    try:
        text = read_text(path)
        config = parse(text, path)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        return MENDABLE
    found = open_port_warnings(config, text, path)
    warnings = (*exposed(path), *key_warnings(config, path), *found)
    for warning in warnings:
        click.echo(str(replace(warning, message=f"warning: {warning.message}")), err=True)
    told = _counted(len(warnings), "warning") if warnings else "no problems"
    click.echo(f"{path}: {_counted(len(config.servers), 'server')}, {told}")
    return 0 if check_ssh_config(config) else MENDABLE


cli.add_command(add_command)
cli.add_command(import_command)
cli.add_command(doctor_command)
cli.add_command(terminal_command)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


@cli.command("add-key")
@click.argument("name")
@click.option("--clipboard", is_flag=True, help="Take the key from the clipboard.")
@click.pass_context
def add_key(context: click.Context, name: str, clipboard: bool) -> None:
    """Keep a private key for the server NAME: pasted here, piped in, or from the clipboard."""
    from trayconnect.config.names import find_server
    from trayconnect.config.places import config_file
    from trayconnect.config.yaml_file import load
    from trayconnect.tunnel import pasted_key

    server = find_server(load(config_file(context.obj["config"])).servers, name)
    if server.is_direct:
        raise ProblemError(
            Problem(
                f"“{server.name}” is a direct connection",
                "It has a url and no host, so there is no SSH server to log in to with a key.",
            )
        )
    key = pasted_key.accept(_key_text(clipboard=clipboard))
    path = pasted_key.store(pasted_key.default_folder(), server.name, key)
    click.echo(f"Kept for “{server.name}”: {key.description}")
    click.echo(f"  It is tried at each login from now on, and lies in {path_for_others(path)}")
    if key.public is not None:
        click.echo("  Its public key, for the server's ~/.ssh/authorized_keys:")
        click.echo(f"  {key.public.line}")


def _key_text(*, clipboard: bool) -> str:
    from trayconnect.tunnel.pasted_key import MAX_CHARACTERS, is_last_line

    if clipboard:
        from trayconnect.desktop.clipboard_paste import pasted

        return pasted()
    if not sys.stdin.isatty():
        return sys.stdin.buffer.read(MAX_CHARACTERS + 1).decode("utf-8", "replace")
    from trayconnect.desktop.hidden_input import read_unseen

    words = "Paste the private key. It is not shown, and ends with its line END:"
    prompt = partial(click.echo, words, err=True)
    return read_unseen(sys.stdin, prompt, is_last_line, MAX_CHARACTERS)


@cli.command("autostart")
@click.argument("what", type=click.Choice(["on", "off", "status"]), default="status")
def autostart_command(what: str) -> None:
    """Start at login: on, off, or what it is now."""
    from trayconnect.desktop.autostart import autostart

    entry = autostart()
    if what == "on":
        entry.turn_on()
    elif what == "off":
        entry.turn_off()
    click.echo("on" if entry.is_on() else "off")


@cli.command()
@click.option("--once", is_flag=True, help="End when the page has answered through the tunnel.")
@click.option("--no-tray", is_flag=True, help="Run without an icon.")
@click.pass_context
def demo(context: click.Context, once: bool, no_tray: bool) -> int:
    """Try it: an SSH server and a JupyterLab on this machine, and the app connected to them."""
    from trayconnect import demo_run, logs

    logs.set_up(to_stderr=False, verbose=context.obj["verbose"])
    try:
        return demo_run.run(once=once, tray=not no_tray, say=click.echo)
    finally:
        logs.shut_down()


# --- speaking to the running app ---


def _call(request: Request, patience: float = 10.0) -> Reply:
    """The running app's answer, within `patience` seconds and those that the request asks to wait.
    Raises `ProblemError`, also for one that is not ok."""
    from trayconnect.control.client import ControlClient
    from trayconnect.control.place import runtime_folder

    return _expect_ok(ControlClient(runtime_folder()).call(request, patience))


def _expect_ok(reply: Reply) -> Reply:
    if reply.problem is not None:
        raise ProblemError(reply.problem)
    return reply


def _print_servers(reply: Reply) -> None:
    _print_status(reply.data)


def _print_jupyters(reply: Reply) -> None:
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


def _print_status(data: Any) -> None:  # noqa: ANN401 - JSON
    from trayconnect.control.status import to_lines

    for line in to_lines(data):
        click.echo(line)
