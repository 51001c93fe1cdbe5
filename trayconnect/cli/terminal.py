"""The command that opens a terminal on a server."""

from __future__ import annotations

import os
import subprocess
import sys

import click


@click.command("terminal")
@click.argument("name")
@click.pass_context
def terminal_command(context: click.Context, name: str) -> int:
    """Open a terminal on the server NAME: a new window with ssh in it, whether it is connected
    or not. Without a display, ssh runs right here."""
    from trayconnect.actions import terminals
    from trayconnect.config.model import find_server
    from trayconnect.config.places import config_file, ssh_config_file
    from trayconnect.config.yaml_file import load
    from trayconnect.core.subprocesses import clean_environment
    from trayconnect.desktop.openers import has_screen
    from trayconnect.desktop.terminal_launcher import open_terminal

    server = find_server(load(config_file(context.obj["config"])).servers, name)
    command = terminals.terminal_command(server, ssh_config_file())
    here = sys.platform not in ("win32", "darwin") and not has_screen(os.environ)
    if here and sys.stdin.isatty():
        return subprocess.call(command, env=clean_environment())
    open_terminal(command)
    return 0
