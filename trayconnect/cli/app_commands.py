"""The commands that the running app carries out, and how they print its replies."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trayconnect.cli import streams
from trayconnect.cli.quick import PROOF_LIMIT
from trayconnect.cli.status_text import disconnected, to_lines
from trayconnect.core.command import WAIT_MAX, Argument, Command, name_on_command_line
from trayconnect.core.errors import Problem, ProblemError

# Imported where it is needed: `trayconnect status` must not wait for SSH.
if TYPE_CHECKING:
    from trayconnect.control.protocol import Reply

_AT_SERVER = 120.0
"""Seconds for an answer that takes a command on the server: its login shell alone may need 60, and
a Jupyter that is stopped 30 more."""
_MOVE_LIMIT = 10.0
"""Seconds for the local port to lead to another Jupyter."""
_ASK_SECONDS = 5.0


def call(command: Command, patience: float = 10.0) -> Reply:
    """The running app's answer, within `patience` seconds and those that the command asks to wait.
    Raises `ProblemError`, also for one that is not ok, and if `--config` names another file."""
    expect_file(click.get_current_context().obj["config"])
    return expect_ok(_ask(command, patience))


def expect_ok(reply: Reply) -> Reply:
    if reply.problem is not None:
        raise ProblemError(reply.problem)
    return reply


def expect_file(option: Path | None) -> None:
    """Raise `ProblemError` if `--config` names another file than that of the running app."""
    if option is None:
        return
    from trayconnect.config.places import config_file

    asked, used = config_file(option), _file_of_app()
    if os.path.realpath(asked) != os.path.realpath(used):
        raise ProblemError(
            Problem(
                f"The running trayconnect uses {used}, not {asked}",
                "Leave --config out; or end it with trayconnect quit, and start it with: "
                f"trayconnect --config {option}",
            )
        )


def server_file(option: Path | None) -> Path:
    """The file of `--config` or TRAYCONNECT_CONFIG, else that of the running app, else the default
    one."""
    from trayconnect.config.places import VARIABLE, config_file

    if option is None and not os.environ.get(VARIABLE):
        try:
            return _file_of_app()
        except ProblemError:  # most likely there is no app
            pass
    return config_file(option)


def _file_of_app() -> Path:
    data: Any = expect_ok(_ask(Command("ping"), _ASK_SECONDS)).data
    return Path(data["file"])


def _ask(command: Command, patience: float) -> Reply:
    from trayconnect.control.client import ControlClient
    from trayconnect.control.place import runtime_folder

    return ControlClient(runtime_folder()).call(command, patience)


def print_status(reply: Reply) -> None:
    data: Any = reply.data
    for line in to_lines(data):
        click.echo(line)


def _print_lines(reply: Reply) -> None:
    data: Any = reply.data
    for line in data["lines"]:
        click.echo(line)


class _Seconds(click.types.FloatParamType):
    name = "seconds"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - as click passes it
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        try:
            seconds = float(value)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds <= WAIT_MAX:
            self.fail(
                f"“{value}” is not a number of seconds: write one from 1 to {WAIT_MAX:.0f}, "
                "such as 30.",
                param,
                ctx,
            )
        return seconds


_SECONDS = _Seconds()
_START_LIMIT = 180.0
_LINK_LIMIT = 60.0
"""Seconds to wait for a page, unless `--wait` says more."""


def _waiting(wait: float | None, default: float) -> Mapping[str, Argument]:
    """The arguments of a command that waits for a page. In a queue it waits only if it is told."""
    return {"wait": default, "queue": "leave"} if wait is None else {"wait": wait}


_start_wait = click.option(
    "--wait",
    type=_SECONDS,
    metavar="SECONDS",
    help="Wait for its page, at most so long, also while its batch job is queued.  [default: "
    f"{_START_LIMIT:g}, and not while queued]",
)
_force = click.option(
    "--force", is_flag=True, help="Do not ask, even if kernels or terminals would be lost."
)


# --- the app ------------------------------------------------------------------------------------


@click.command()
def reload() -> None:
    """Read the server file of the running app again."""
    data: Any = call(Command("reload")).data
    count = data["servers"]
    click.echo(f"trayconnect has read its file: {count} server{'' if count == 1 else 's'}.")


@click.command("quit")
def quit_command() -> None:
    """Disconnect everything and end the running app."""
    call(Command("quit"))
    click.echo("trayconnect disconnects all servers and ends.")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def status(as_json: bool) -> None:
    """Print the state of the servers of the running app."""
    reply = call(Command("status"))
    if as_json:
        click.echo(streams.as_json(reply.data))
    else:
        print_status(reply)


# --- a server -----------------------------------------------------------------------------------


@click.command()
@click.argument("name")
@click.option(
    "--wait",
    type=_SECONDS,
    metavar="SECONDS",
    help="Wait for its page, at most so long.",
)
def connect(name: str, wait: float | None) -> None:
    """Connect the server NAME of the running app."""
    print_status(call(Command("connect", name, {} if wait is None else {"wait": wait})))


@click.command()
@click.argument("name")
def disconnect(name: str) -> None:
    """Disconnect the server NAME of the running app."""
    data: Any = call(Command("disconnect", name)).data
    click.echo(disconnected(data))


@click.command("open")
@click.argument("name")
def open_command(name: str) -> None:
    """Open the page of the server NAME, after connecting it if necessary."""
    print_status(call(Command("open", name, {"wait": PROOF_LIMIT})))


@click.command()
@click.argument("name")
@click.option(
    "--wait",
    type=_SECONDS,
    metavar="SECONDS",
    help="Wait for a page, at most so long, also while its batch job is queued.  [default: "
    f"{_LINK_LIMIT:g}, and not while queued]",
)
def link(name: str, wait: float | None) -> None:
    """Print the link to the Jupyter of the server NAME, with its token: for VS Code, PyCharm, jlab.

    Connects the server if necessary. The link is a secret: it logs in."""
    data: Any = call(Command("link", name, _waiting(wait, _LINK_LIMIT))).data
    click.echo(data["link"])
    if data["why"]:
        click.echo(data["why"], err=True)


# --- its Jupyter --------------------------------------------------------------------------------


@click.command()
@click.argument("name")
@_start_wait
@click.option("--new", is_flag=True, help="Submit another batch job, even if one is there.")
def start(name: str, wait: float | None, new: bool) -> None:
    """Start Jupyter on the server NAME as its entry says; connect it first if necessary.

    It outlives the tunnel. If one is running already, trayconnect uses that one. With 'batch' in
    the entry, Jupyter is a job of the cluster's scheduler, which may queue it."""
    command = "new-job" if new else "start-jupyter"
    print_status(call(Command(command, name, _waiting(wait, _START_LIMIT))))


@click.command()
@click.argument("name")
def servers(name: str) -> None:
    """Print the Jupyter servers that run on the connected server NAME, or your batch jobs there; *
    marks the one in use."""
    _print_lines(call(Command("jupyters", name), _AT_SERVER))


@click.command()
@click.argument("name")
@_force
def stop(name: str, force: bool) -> None:
    """Stop the Jupyter of the connected server NAME, with its kernels, or end its batch job; the
    tunnel stays."""
    identity = "" if force else _confirmed("Stop", name)
    reply = call(Command("stop-jupyter", name, {"identity": identity}), _AT_SERVER)
    data: Any = reply.data
    if "lines" in data:
        _print_lines(reply)
    else:
        click.echo(f"Jupyter on {name} is stopped. The tunnel stays open.")


@click.command()
@click.argument("name")
@_force
@_start_wait
def restart(name: str, force: bool, wait: float | None) -> None:
    """Stop the Jupyter of the connected server NAME, and start one as its entry says.

    A batch job is not restarted."""
    identity = "" if force else _confirmed("Restart", name)
    print_status(
        call(
            Command(
                "restart-jupyter", name, {"identity": identity, **_waiting(wait, _START_LIMIT)}
            ),
            _AT_SERVER,
        )
    )


def _confirmed(verb: str, name: str) -> str:
    """The identity of the Jupyter in use. Raises `ProblemError` unless it may be stopped."""
    running: Any = call(Command("jupyter-losses", name), _AT_SERVER).data
    losses, identity, label = running["losses"], str(running["identity"]), running["label"]
    is_job = "job" in running
    what = f"Job {identity}" if is_job else "Jupyter"
    if is_job and verb != "Stop":
        advice = f"End it with: trayconnect stop {name_on_command_line(name)}"
        raise ProblemError(Problem(f"{what} on {name} cannot be restarted", advice))
    if not losses:
        return identity
    if not sys.stdin.isatty():
        advice = f"{losses}\nUse --force to stop it anyway."
        raise ProblemError(Problem(f"{what} on {name} was not stopped", advice))
    if label:
        click.echo(f"J{label[1:]}." if is_job else f"Jupyter runs in {label}.", err=True)
    click.echo(losses, err=True)
    if not click.confirm(f"{verb} {what} on {name}?", default=False, err=True):
        raise ProblemError(Problem(f"{what} was not stopped", "It stays as it is."))
    return identity


@click.command("log")
@click.argument("name")
def log_command(name: str) -> None:
    """Print the log of the Jupyter that trayconnect started on the connected server NAME, also as a
    batch job."""
    data: Any = call(Command("jupyter-log", name), _AT_SERVER).data
    click.echo(data["log"], nl=False)


@click.command()
@click.argument("name")
@click.argument("which", metavar="PORT_OR_FOLDER")
def choose(name: str, which: str) -> None:
    """Use another Jupyter of the server NAME: by its port, its socket or its folder; or another
    batch job, by its number or its node."""
    _print_lines(call(Command("choose-jupyter", name, {"jupyter": which, "wait": _MOVE_LIMIT})))
