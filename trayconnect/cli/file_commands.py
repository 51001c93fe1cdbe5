"""The commands that read the server file: check, add-key, terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trayconnect.cli import streams
from trayconnect.cli.app_commands import server_file
from trayconnect.core.errors import ProblemError
from trayconnect.core.subprocesses import path_for_others

if TYPE_CHECKING:
    from trayconnect.config.model import Config

MENDABLE = 1


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of the file instead.")
@click.pass_context
def check(context: click.Context, file: Path | None, schema: bool) -> int:
    """Read the server file and print every problem as FILE:LINE:COLUMN.

    A key that cannot log in, and a port that other computers can connect to, are warnings: the file
    is used anyway, and the exit code is 0."""
    from trayconnect.config.checks import open_port_warnings
    from trayconnect.config.file_problems import ConfigError
    from trayconnect.config.schema import json_schema
    from trayconnect.config.yaml_file import parse, read_text
    from trayconnect.diagnostics.key_check import exposed, key_warnings

    if schema:
        click.echo(streams.as_json(json_schema()))
        return 0
    path = server_file(file or context.obj["config"])
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
    warned = _counted(len(warnings), "warning") if warnings else "no problems"
    click.echo(f"{path}: {_counted(len(config.servers), 'server')}, {warned}")
    return 0 if _check_ssh_config(config) else MENDABLE


def _check_ssh_config(config: Config) -> bool:
    """Print the faults of the SSH configuration of each server, and the options that trayconnect
    ignores. Returns whether it is usable for all servers."""
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
    for server in config.ssh_servers:
        try:
            found = additions(
                server, config.servers, lambda query: ssh_config.host(query, CancelToken())
            )
        except ProblemError as error:
            click.echo(f"{server.name}: {error.problem}", err=True)
            good = False
        else:
            for note in found.notes:
                if ssh_config.note and note.endswith(ssh_config.note):
                    continue  # the same for each server
                whose = f"{server.name}: "  # the host may be called the same
                click.echo(note if note.startswith(whose) else whose + note)
            for hop in resolve_hops(server, lambda query: ssh_config.host(query, CancelToken())):
                ignored.update(hop.config.options.ignored)
                for path in missing(hop.config.options.identity_files):
                    click.echo(f"{server.name}: {hop.name}: IdentityFile {path} does not exist")
    if ignored:
        names = ", ".join(sorted(ignored))
        click.echo(f"Ignored options of your SSH configuration, all harmless: {names}", err=True)
    return good


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


@click.command("add-key")
@click.argument("name")
@click.option("--clipboard", is_flag=True, help="Take the key from the clipboard.")
@click.pass_context
def add_key(context: click.Context, name: str, clipboard: bool) -> None:
    """Store a private key for the server NAME: pasted here, piped in, or from the clipboard."""
    from trayconnect.config.model import find_server, require_ssh
    from trayconnect.config.yaml_file import load
    from trayconnect.ssh.auth import pasted_key

    server = find_server(load(server_file(context.obj["config"])).servers, name)
    require_ssh(server)
    key = pasted_key.accept(_key_text(clipboard=clipboard))
    path = pasted_key.store(pasted_key.default_folder(), server.name, key)
    click.echo(f"Stored for “{server.name}”: {key.description}")
    click.echo(f"  trayconnect tries it at each login. It is in {path_for_others(path)}")
    if key.public is not None:
        click.echo("  Its public key, for the server's ~/.ssh/authorized_keys:")
        click.echo(f"  {key.public.line}")


def _key_text(*, clipboard: bool) -> str:
    from trayconnect.ssh.auth.pasted_key import MAX_CHARACTERS, is_last_line

    if clipboard:
        from trayconnect.desktop.clipboard import pasted

        return pasted()
    if not sys.stdin.isatty():
        return sys.stdin.buffer.read(MAX_CHARACTERS + 1).decode("utf-8", "replace")
    from trayconnect.desktop.prompts.fields import read_unseen

    line = "Paste the private key, up to its END line. It is not shown:"
    prompt = partial(click.echo, line, err=True)
    return read_unseen(sys.stdin, prompt, is_last_line, MAX_CHARACTERS)


@click.command("terminal")
@click.argument("name")
@click.pass_context
def terminal_command(context: click.Context, name: str) -> int:
    """Open a terminal window with ssh to the server NAME, connected or not. Without a display, ssh
    runs in this terminal."""
    from trayconnect.actions import terminals
    from trayconnect.config.model import find_server
    from trayconnect.config.places import ssh_config_file
    from trayconnect.config.yaml_file import load
    from trayconnect.core.subprocesses import clean_environment
    from trayconnect.desktop.default_programs import has_screen
    from trayconnect.desktop.terminal_launcher import open_terminal

    server = find_server(load(server_file(context.obj["config"])).servers, name)
    command = terminals.terminal_command(server, ssh_config_file())
    here = sys.platform not in ("win32", "darwin") and not has_screen(os.environ)
    if here and sys.stdin.isatty():
        return subprocess.call(command, env=clean_environment())
    open_terminal(command)
    return 0
