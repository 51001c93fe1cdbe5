"""The command that checks this machine, and the route to a server: doctor."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trayconnect.cli.app_commands import server_file
from trayconnect.cli.run_command import config_option

# What a command needs is imported where it is needed.
if TYPE_CHECKING:
    from trayconnect.core.progress import Step

MENDABLE = 1


@click.command("doctor")
@config_option
@click.argument("name", required=False)
@click.pass_context
def doctor_command(context: click.Context, config: Path | None, name: str | None) -> int:
    """Check this machine, and with NAME each step of the connection to that server.

    The output contains no secrets: you can paste it into an issue."""
    from trayconnect.diagnostics import report

    for line in report.system_lines():
        click.echo(line)
    path = server_file(config or context.obj["config"])
    bad = _machine(path)
    if name is not None:
        click.echo("")
        bad |= _server(path, name)
    return MENDABLE if bad else 0


def _machine(path: Path) -> bool:
    """Print the findings about the machine. Returns whether one is a problem."""
    from trayconnect.control.client import ControlClient
    from trayconnect.control.place import runtime_folder
    from trayconnect.diagnostics.doctor import Grade, examine_machine

    bad = False
    for finding in examine_machine(path, ControlClient(runtime_folder())):
        for line in finding.lines():
            _echo(line)
        bad |= finding.mark is Grade.PROBLEM
    return bad


def _server(path: Path, name: str) -> bool:
    """Connect to a server and print each step. Returns whether no page answered."""
    from trayconnect.config.model import find_server
    from trayconnect.config.places import ssh_config_file
    from trayconnect.config.yaml_file import load
    from trayconnect.core.progress import Progress
    from trayconnect.desktop.prompts.prompter import prompter
    from trayconnect.desktop.secrets import KeyringSecrets
    from trayconnect.diagnostics.doctor_server import (
        TerminalProgress,
        asking,
        examine_server,
        line_of,
    )
    from trayconnect.ssh.config.ssh_config import SshConfig
    from trayconnect.ssh.connector import SshConnector

    server = find_server(load(path).servers, name)
    _echo(f"The route to “{server.name}”")
    ssh_config = ssh_config_file(None)
    ssh = SshConnector(KeyringSecrets(), ssh_config=lambda: SshConfig(ssh_config))
    ask = asking(prompter(True) if sys.stdin.isatty() else None)

    def tell(step: Step) -> None:
        _echo(line_of(step))

    problem = examine_server(server, ssh, ask, Progress(tell), TerminalProgress(_echo))
    if problem is None:
        _echo("A page answers")
        return False
    _echo(f"PROBLEM  {problem.title}")
    for line in [*problem.advice.splitlines(), *problem.detail.splitlines()]:
        _echo(f"           {line}")
    return True


def _echo(line: str) -> None:
    from trayconnect.diagnostics.report import scrub

    click.echo(scrub(line))
