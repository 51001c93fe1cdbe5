"""The command that keeps a private key: add-key."""

from __future__ import annotations

import sys
from functools import partial

import click

from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.subprocesses import path_for_others


@click.command("add-key")
@click.argument("name")
@click.option("--clipboard", is_flag=True, help="Take the key from the clipboard.")
@click.pass_context
def add_key(context: click.Context, name: str, clipboard: bool) -> None:
    """Keep a private key for the server NAME: pasted here, piped in, or from the clipboard."""
    from trayconnect.config.model import find_server
    from trayconnect.config.places import config_file
    from trayconnect.config.yaml_file import load
    from trayconnect.ssh.auth import pasted_key

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
    from trayconnect.ssh.auth.pasted_key import MAX_CHARACTERS, is_last_line

    if clipboard:
        from trayconnect.desktop.clipboard_paste import pasted

        return pasted()
    if not sys.stdin.isatty():
        return sys.stdin.buffer.read(MAX_CHARACTERS + 1).decode("utf-8", "replace")
    from trayconnect.desktop.prompts.hidden_input import read_unseen

    words = "Paste the private key. It is not shown, and ends with its line END:"
    prompt = partial(click.echo, words, err=True)
    return read_unseen(sys.stdin, prompt, is_last_line, MAX_CHARACTERS)
