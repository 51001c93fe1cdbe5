"""The `ssh` command that logs in where an entry does, for a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trayconnect.config.algorithms import LEGACY_CIPHERS, LEGACY_MACS
from trayconnect.config.model import JumpHost, Server

_SYSTEM_KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"


@dataclass(frozen=True, slots=True)
class SshClient:
    """The arguments of ssh(1) that do not come from the entry."""

    ssh: str = "ssh"
    """The program."""
    config: Path | None = None
    """The argument of `-F`; None: the default files."""
    keys: tuple[Path, ...] = ()
    """Private keys that trayconnect stores for the entry."""
    known_hosts: Path | None = None
    """The known_hosts file of trayconnect."""
    has_posix_shell: bool = True
    """Whether a POSIX shell runs a ProxyCommand."""


def ssh_command(server: Server, client: SshClient) -> list[str]:
    """The program and its arguments. Options that the entry does not set are left to ssh_config(5).

    Without forwards: trayconnect itself listens. Raises ValueError for an entry without an SSH
    server."""
    if server.host is None:
        raise ValueError("a direct connection has no SSH server")
    is_set = server.model_fields_set
    command = [
        client.ssh,
        *_config(client),
        *_keys(server, client),
        "-o",
        "ClearAllForwardings=yes",
    ]
    for option in _options(server, client):
        command += ["-o", option]
    if "jump_hosts" in is_set:
        command += _jumps(server, client)
    return [*command, *_destination(server.host, server.username, _port(server))]


def _config(client: SshClient) -> list[str]:
    return [] if client.config is None else ["-F", str(client.config)]


def _keys(server: Server, client: SshClient) -> list[str]:
    named = (server.auth.identity_file,) if server.auth.identity_file is not None else ()
    # -i would look for a file of that name before it expands tokens.
    files = [f"IdentityFile={_value(str(path))}" for path in (*named, *client.keys)]
    return [argument for file in files for argument in ("-o", file)]


def _options(server: Server, client: SshClient) -> Iterator[str]:
    agent = server.auth.agent
    if agent is not None:
        yield "IdentityAgent=none" if agent == "none" else f"IdentityAgent={_value(str(agent))}"
    ciphers = [name for name in server.legacy if name in LEGACY_CIPHERS]
    macs = [name for name in server.legacy if name in LEGACY_MACS]
    if ciphers:
        yield f"Ciphers=+{','.join(ciphers)}"
    if macs:
        yield f"MACs=+{','.join(macs)}"
    yield from _known_hosts(client)


def _known_hosts(client: SshClient) -> Iterator[str]:
    if client.known_hosts is not None and '"' not in str(client.known_hosts):
        yield f'GlobalKnownHostsFile={_SYSTEM_KNOWN_HOSTS} "{client.known_hosts}"'


def _jumps(server: Server, client: SshClient) -> list[str]:
    if not server.jump_hosts:
        return ["-o", "ProxyJump=none", "-o", "ProxyCommand=none"]
    options = _keys(server, client)
    for option in _known_hosts(client):
        options += ["-o", option]
    if not options or not client.has_posix_shell:
        return ["-J", ",".join(map(_jump_text, server.jump_hosts))]
    # ssh does not apply its command line's options to the jump hosts of -J.
    return ["-o", f"ProxyCommand={_proxy_command(server.jump_hosts, options, client)}"]


def _proxy_command(jumps: Sequence[JumpHost], options: Sequence[str], client: SshClient) -> str:
    """Log in to the last of `jumps` through the others, and connect to the target of ssh."""
    *before, last = jumps
    arguments = [client.ssh, *_config(client), *options]
    if before:
        arguments += ["-o", f"ProxyCommand={_proxy_command(before, options, client)}"]
    port = last.port if "port" in last.model_fields_set else None
    arguments = [_percent(shlex.quote(argument)) for argument in arguments]
    destination = [
        _percent(shlex.quote(argument)) for argument in _destination(last.host, last.username, port)
    ]
    return " ".join([*arguments, "-W", "'[%h]:%p'", *destination])


def _destination(host: str, user: str | None, port: int | None) -> list[str]:
    arguments = [] if user is None else ["-l", user]
    arguments += [] if port is None else ["-p", str(port)]
    return [*arguments, "--", host]


def _port(server: Server) -> int | None:
    return server.port if "port" in server.model_fields_set else None


def _jump_text(jump: JumpHost) -> str:
    user = "" if jump.username is None else f"{jump.username}@"
    host = f"[{jump.host}]" if ":" in jump.host else jump.host
    return f"{user}{host}:{jump.port}" if "port" in jump.model_fields_set else f"{user}{host}"


def _percent(text: str) -> str:
    """A % is doubled where ssh expands tokens."""
    return text.replace("%", "%%")


def _value(text: str) -> str:
    """As one argument in ssh_config(5)."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_percent(quoted)}"'
