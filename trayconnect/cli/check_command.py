"""The command that checks the server file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trayconnect.cli import streams
from trayconnect.core.errors import ProblemError

if TYPE_CHECKING:
    from trayconnect.config.model import Config

MENDABLE = 1


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the file instead.")
@click.pass_context
def check(context: click.Context, file: Path | None, schema: bool) -> int:
    """Read the server file and print every problem as FILE:LINE:COLUMN.

    A key that could not log in and a port that other computers can connect to are warnings: the
    file is in force all the same, and the exit code is 0."""
    from trayconnect.config.checks import open_port_warnings
    from trayconnect.config.places import config_file
    from trayconnect.config.schema import json_schema
    from trayconnect.config.yaml_file import ConfigError, parse, read_text
    from trayconnect.diagnostics.key_check import exposed, key_warnings

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
    return 0 if _check_ssh_config(config) else MENDABLE


def _check_ssh_config(config: Config) -> bool:
    """Print what is wrong with the SSH configuration of any server, and what of it is not
    honoured; whether all of them can be connected."""
    from trayconnect.config.places import ssh_config_file
    from trayconnect.core.cancellation import CancelToken
    from trayconnect.ssh.auth.identities import missing
    from trayconnect.ssh.config.configured_forwards import additions
    from trayconnect.ssh.config.jump_chain import resolve_hops
    from trayconnect.ssh.config.ssh_config import SshConfig

    ssh_config = SshConfig(ssh_config_file())
    if ssh_config.note:
        click.echo(ssh_config.note)
    good = True
    ignored: set[str] = set()
    for server in config.servers:
        if server.is_direct:
            continue
        try:
            found = additions(
                server, config.servers, lambda query: ssh_config.host(query, CancelToken())
            )
        except ProblemError as error:
            click.echo(f"{server.name}: {error.problem}", err=True)
            good = False
        else:
            for words in found.notes:
                if ssh_config.note and words.endswith(ssh_config.note):
                    continue  # the same for each server
                whose = f"{server.name}: "  # the host may be called the same
                click.echo(words if words.startswith(whose) else whose + words)
            for hop in resolve_hops(server, lambda query: ssh_config.host(query, CancelToken())):
                ignored.update(hop.config.options.ignored)
                for path in missing(hop.config.options.identity_files):
                    click.echo(f"{server.name}: {hop.name}: IdentityFile {path} does not exist")
    if ignored:
        names = ", ".join(sorted(ignored))
        click.echo(f"Without effect here, and harmless: {names} (ssh configuration)", err=True)
    return good


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
