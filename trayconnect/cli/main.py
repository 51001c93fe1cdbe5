"""The commands. Exit codes: 0 done, 1 a problem that the user can fix, 2 wrong usage, 3 our bug."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import click

from trayconnect import __version__
from trayconnect.cli import streams
from trayconnect.cli.app_commands import (
    choose,
    connect,
    disconnect,
    link,
    log_command,
    open_command,
    quit_command,
    reload,
    restart,
    servers,
    start,
    status,
    stop,
)
from trayconnect.cli.doctor import doctor_command
from trayconnect.cli.file_commands import add_key, check, terminal_command
from trayconnect.cli.folders import check_folders
from trayconnect.cli.run_command import autostart_command, config_option, demo, run_command
from trayconnect.cli.servers import add_command, import_command
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.privacy import no_core_dumps
from trayconnect.core.subprocesses import path_for_others
from trayconnect.desktop.windows_console import show_message

MENDABLE, USAGE, BUG = 1, 2, 3
_WHOLE = 1000
"""Characters: no first sentence of a command's help is longer."""


def run(arguments: list[str]) -> int:
    """Run one command line. Returns the exit code."""
    from trayconnect.desktop import helper_process

    streams.prepare()
    if arguments[:1] == [helper_process.HELPER_ARGUMENT]:
        return helper_process.main(arguments[1:])
    no_core_dumps()
    check_folders()
    try:
        code = cli.main(arguments, prog_name="trayconnect", standalone_mode=False)
    except BaseException as error:  # noqa: BLE001 - the last resort: the user gets a log to send
        return report(error, arguments)
    return code if isinstance(code, int) else 0


def report(error: BaseException, arguments: Sequence[str]) -> int:
    """Print why a command line failed. Returns the exit code."""
    match error:
        case click.ClickException():
            error.show()
            return USAGE
        case click.Abort() | KeyboardInterrupt():
            click.echo("Interrupted", err=True)
            return 130
        case ProblemError():
            show_problem(error.problem, in_window=_begins_app(arguments))
            return MENDABLE
        case Exception():
            is_gone = streams.is_gone(error)
            return MENDABLE if is_gone else _bug(error, in_window=_begins_app(arguments))
    raise error


def _begins_app(arguments: Sequence[str]) -> bool:
    """Whether these start the app: then somebody waits for its icon. A script may run any other
    command without stderr, and a window would block it."""
    return next((word for word in arguments if word in cli.commands), "run") == "run"


def show_problem(problem: Problem, *, in_window: bool = False) -> None:
    """Print the title, then what to do, on stderr; `in_window`: or show a window without stderr."""
    if in_window and streams.lacks("stderr"):
        show_message(problem.title, problem.advice)
    click.echo(problem.title, err=True)
    for line in problem.advice.splitlines():
        click.echo(f"  {line}", err=True)


def _bug(error: Exception, *, in_window: bool) -> int:
    from trayconnect.core import logs

    if not logs.logger.handlers:
        logs.set_up(to_stderr=False)
    logging.getLogger(__name__).error("trayconnect %s has a bug", __version__, exc_info=error)
    logs.shut_down()
    advice = f"Please send the end of this log: {path_for_others(logs.log_file())}"
    show_problem(Problem("This is a bug in trayconnect.", advice), in_window=in_window)
    return BUG


class _Commands(click.Group):
    """Shows the first sentence of each command in full in its help."""

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
@click.option("--verbose", is_flag=True, help="Log more, also to stderr.")
@click.pass_context
def cli(context: click.Context, config: Path | None, verbose: bool) -> None:
    """Open SSH tunnels to Jupyter servers from the tray. Without a command: run."""
    context.obj = {"config": config, "verbose": verbose}
    if context.invoked_subcommand is None:
        context.invoke(run_command)


for command in (
    run_command,
    demo,
    connect,
    disconnect,
    open_command,
    link,
    start,
    stop,
    restart,
    choose,
    servers,
    log_command,
    status,
    reload,
    quit_command,
    autostart_command,
    check,
    add_command,
    import_command,
    add_key,
    doctor_command,
    terminal_command,
):
    cli.add_command(command)
