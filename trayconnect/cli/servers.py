"""The commands that write entries into the server file: add, import."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trayconnect.cli.app_commands import server_file
from trayconnect.core.errors import Problem, ProblemError

# What a command needs is imported where it is needed.
if TYPE_CHECKING:
    from trayconnect.config.model import Config
    from trayconnect.config.new_entry import NewEntry
    from trayconnect.ssh.config.interpret import HostConfig
    from trayconnect.ssh.config.ssh_config import SshConfig

_again = click.option(
    "--again", is_flag=True, help="Add it even if the file has an entry for it already."
)
_dry_run = click.option("--dry-run", is_flag=True, help="Print what would be written, and stop.")


class _AddCommand(click.Command):
    """Accepts our options after the ssh command, too, if the command is one word in quotes."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and not args[0].startswith("-") and len(args[0].split()) > 1:
            args = [*args[1:], "--", args[0]]
        return super().parse_args(ctx, args)


@click.command(
    "add",
    cls=_AddCommand,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option("--name", help="The name in the menu. Default: the host.")
@_again
@_dry_run
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def add_command(
    context: click.Context, name: str | None, again: bool, dry_run: bool, command: tuple[str, ...]
) -> None:
    """Make an entry from an ssh command of your notes.

    Write the command in quotes, or as it is:

        trayconnect add "ssh -L 8888:localhost:8888 ada@gpu -J gate"
    """
    from trayconnect.config.edit import present
    from trayconnect.config.model import Config
    from trayconnect.config.new_entry import from_command
    from trayconnect.config.pasted_command import parse_command
    from trayconnect.config.places import ssh_config_file
    from trayconnect.config.shell_words import CommandError
    from trayconnect.ssh.config.config_files import aliases, usual_places
    from trayconnect.ssh.config.ssh_config import SshConfig, this_user

    path = server_file(context.obj["config"])
    named, user = ssh_config_file(), this_user()
    try:
        known = aliases(usual_places(user.home, named))
        parsed = parse_command(command, user.user, known)
    except CommandError as error:
        raise click.UsageError(f"Nothing was added: {error}") from error
    parsed.identity_files = [_whole_path(file) for file in parsed.identity_files]
    config, ssh_config = present(path), SshConfig(named)
    if parsed.inherits_user and parsed.user is None and parsed.jumps:
        login = _look_up(ssh_config, parsed.jumps[-1].host).user
        parsed.user = login if login != user.user else None
    wanted = from_command(parsed, Config(), name)
    if again or not _is_present(wanted, config, ssh_config, path):
        _write(path, [from_command(parsed, config, name)], dry_run)


@click.command("import")
@click.option("--all", "everything", is_flag=True, help="Import every host.")
@_again
@_dry_run
@click.argument("names", nargs=-1, metavar="[HOST]...")
@click.pass_context
def import_command(
    context: click.Context, everything: bool, again: bool, dry_run: bool, names: tuple[str, ...]
) -> None:
    """Make entries from the hosts of ~/.ssh/config.

    Without a HOST, list them; on a terminal, ask which to import. The entry only names the host:
    the settings of ~/.ssh/config stay in force.
    """
    from trayconnect.config.edit import present
    from trayconnect.config.model import Config
    from trayconnect.config.new_entry import from_aliases
    from trayconnect.config.places import ssh_config_file
    from trayconnect.ssh.config.config_files import aliases, usual_places
    from trayconnect.ssh.config.ssh_config import SshConfig, install_advice, this_user

    path = server_file(context.obj["config"])
    named = ssh_config_file()
    config, ssh_config = present(path), SshConfig(named)
    if ssh_config.unused is not None:
        title = f"trayconnect cannot use {ssh_config.unused} without OpenSSH's client"
        raise ProblemError(Problem(title, f"{install_advice()}."))
    known = aliases(usual_places(this_user().home, named))
    if not known:
        raise ProblemError(
            Problem(
                "Your SSH configuration names no host",
                "It has no line such as 'Host gpu' in ~/.ssh/config. To make an entry from an ssh "
                'command: trayconnect add "ssh ada@gpu.example.org"',
            )
        )
    there = {server.host for server in config.servers}
    if everything:
        chosen = [host for host in known if again or host not in there]
    elif names:
        chosen = [_known(host, known) for host in names]
    else:
        _list(known, there, ssh_config)
        chosen = _ask(known) if sys.stdin.isatty() else []
    hosts = [(host, _look_up(ssh_config, host).forwards) for host in dict.fromkeys(chosen)]
    if not again:
        hosts = [
            host
            for host in hosts
            if not _is_present(from_aliases([host], Config())[0], config, ssh_config, path)
        ]
    if hosts:
        _write(path, from_aliases(hosts, config), dry_run)
    elif everything and not chosen:
        click.echo(f"Every host of your SSH configuration is in {path} already.")


def _is_present(wanted: NewEntry, config: Config, ssh_config: SshConfig, path: Path) -> bool:
    """Whether the file has such an entry; if so, says it."""
    from trayconnect.cli.same_server import present_entry
    from trayconnect.core.cancellation import CancelToken

    found = present_entry(wanted, config, lambda query: ssh_config.host(query, CancelToken()))
    if found is None:
        return False
    click.echo(
        f"{wanted.data['host']} is in {path} already, as “{found.name}”; nothing was added. "
        "Use --again to add another entry."
    )
    return True


def _look_up(ssh_config: SshConfig, host: str) -> HostConfig:
    from trayconnect.core.cancellation import CancelToken
    from trayconnect.ssh.config.ssh_options import Query

    return ssh_config.host(Query(host), CancelToken())


def _known(host: str, known: Sequence[str]) -> str:
    if host in known:
        return host
    near = difflib.get_close_matches(host, known, n=3)
    hint = f"Did you mean {', '.join(near)}?" if near else "To list its hosts: trayconnect import"
    raise ProblemError(Problem(f"Your SSH configuration names no host {host}", hint))


def _list(known: Sequence[str], there: Collection[str | None], ssh_config: SshConfig) -> None:
    width = max(map(len, known))
    for number, host in enumerate(known, 1):
        try:
            what = _description(_look_up(ssh_config, host))
        except ProblemError as error:
            what = error.problem.title
        mark = "  (has an entry)" if host in there else ""
        click.echo(f"{number:3}  {host:{width}}  {what}{mark}")


def _description(host: HostConfig) -> str:
    from trayconnect.config.ssh_command import SSH_PORT

    name = f"[{host.hostname}]" if ":" in host.hostname else host.hostname
    text = f"{host.user}@{name}" + (f":{host.port}" if host.port != SSH_PORT else "")
    if host.jumps:
        text += f" through {', '.join(jump.host for jump in host.jumps)}"
    elif host.options.proxy_command is not None:
        text += " through a ProxyCommand"
    return text


def _ask(known: Sequence[str]) -> list[str]:
    """Which of the numbered hosts the user wants."""
    while True:
        answer = click.prompt(
            "Which? Numbers or names, or all; Enter for none", default="", show_default=False
        )
        try:
            return choice(answer, known)
        except ValueError as error:
            click.echo(str(error), err=True)


def choice(answer: str, known: Sequence[str]) -> list[str]:
    """The hosts that an answer names: `1 3-5 gpu`, `all`. Raises ValueError."""
    chosen: dict[str, None] = {}
    for word in answer.replace(",", " ").split():
        first, dash, last = word.partition("-")
        if word in known:
            chosen[word] = None
        elif word == "all":
            chosen.update(dict.fromkeys(known))
        elif first.isdecimal() and (last.isdecimal() or not dash):
            low, high = int(first[:6]), int((last or first)[:6])
            if not 1 <= low <= high <= len(known):
                raise ValueError(f"{word}: the numbers go from 1 to {len(known)}")
            chosen.update(dict.fromkeys(known[low - 1 : high]))
        else:
            raise ValueError(f"{word}: neither a number nor a host of the list")
    return list(chosen)


def _whole_path(file: str) -> str:
    """The path of a key file, independent of the current folder. ssh resolves it there, but people
    often paste a command that they once ran in their home folder."""
    if file.startswith("~") or Path(file).is_absolute():
        return file
    places = (Path(os.path.normpath(Path.cwd() / file)), Path.home() / file)
    whole = next((place for place in places if place.exists()), places[0])
    if whole.is_relative_to(Path.home()):
        return f"~/{whole.relative_to(Path.home()).as_posix()}"
    return str(whole)


def _write(path: Path, entries: Sequence[NewEntry], dry_run: bool) -> None:
    from trayconnect.config.edit import add, as_text

    new = "" if path.exists() else ", a new file"
    if dry_run:
        click.echo(as_text(entries))
    else:
        add(path, entries)
    for entry in entries:
        auth = entry.data.get("auth")
        key = str(auth["identity_file"]) if isinstance(auth, dict) else ""
        if key and not Path(key).expanduser().exists():
            click.echo(f"There is no file {key} on this machine: correct 'identity_file'", err=True)
        if not dry_run:
            click.echo(f"Added “{entry.name}” to {path}{new}")
        for note in entry.notes:
            click.echo(f"Left out: {note}", err=True)
