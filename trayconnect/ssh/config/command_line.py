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
    """What ssh(1) is called with, beside what the entry says."""

    ssh: str = "ssh"
    """The program."""
    config: Path | None = None
    """What follows `-F`; None: the usual files."""
    keys: tuple[Path, ...] = ()
    """Private keys that trayconnect keeps for the entry."""
    known_hosts: Path | None = None
    """The host keys that trayconnect has learned."""
    nests: bool = True
    """Whether a ProxyCommand is run by a POSIX shell."""


def ssh_command(server: Server, means: SshClient) -> list[str]:
    """The program and its arguments. All that the entry does not say is left to ssh_config(5).

    Forwards are left out: the listeners are trayconnect's. Raises ValueError for an entry without
    an SSH server."""
    if server.host is None:
        raise ValueError("a direct connection has no SSH server")
    said = server.model_fields_set
    command = [means.ssh, *_config(means), *_keys(server, means), "-o", "ClearAllForwardings=yes"]
    for option in _options(server, means):
        command += ["-o", option]
    if "jump_hosts" in said:
        command += _jumps(server, means)
    return [*command, *_destination(server.host, server.username, _port(server))]


def _config(means: SshClient) -> list[str]:
    return [] if means.config is None else ["-F", str(means.config)]


def _keys(server: Server, means: SshClient) -> list[str]:
    named = (server.auth.identity_file,) if server.auth.identity_file is not None else ()
    # -i would look for a file of that name before tokens are expanded.
    files = [f"IdentityFile={_value(str(path))}" for path in (*named, *means.keys)]
    return [word for file in files for word in ("-o", file)]


def _options(server: Server, means: SshClient) -> Iterator[str]:
    agent = server.auth.agent
    if agent is not None:
        yield "IdentityAgent=none" if agent == "none" else f"IdentityAgent={_value(str(agent))}"
    ciphers = [name for name in server.legacy if name in LEGACY_CIPHERS]
    macs = [name for name in server.legacy if name in LEGACY_MACS]
    if ciphers:
        yield f"Ciphers=+{','.join(ciphers)}"
    if macs:
        yield f"MACs=+{','.join(macs)}"
    yield from _known_hosts(means)


def _known_hosts(means: SshClient) -> Iterator[str]:
    if means.known_hosts is not None and '"' not in str(means.known_hosts):
        yield f'GlobalKnownHostsFile={_SYSTEM_KNOWN_HOSTS} "{means.known_hosts}"'


def _jumps(server: Server, means: SshClient) -> list[str]:
    if not server.jump_hosts:
        return ["-o", "ProxyJump=none", "-o", "ProxyCommand=none"]
    options = _keys(server, means)
    for option in _known_hosts(means):
        options += ["-o", option]
    if not options or not means.nests:
        return ["-J", ",".join(map(_jump_text, server.jump_hosts))]
    # What the command line says is not for the jump hosts of -J.
    return ["-o", f"ProxyCommand={_proxy_command(server.jump_hosts, options, means)}"]


def _proxy_command(jumps: Sequence[JumpHost], options: Sequence[str], means: SshClient) -> str:
    """Log in to the last of these through the others, and go on to where ssh wants to."""
    *before, last = jumps
    words = [means.ssh, *_config(means), *options]
    if before:
        words += ["-o", f"ProxyCommand={_proxy_command(before, options, means)}"]
    port = last.port if "port" in last.model_fields_set else None
    words = [_percent(shlex.quote(word)) for word in words]
    there = [_percent(shlex.quote(word)) for word in _destination(last.host, last.username, port)]
    return " ".join([*words, "-W", "'[%h]:%p'", *there])


def _destination(host: str, user: str | None, port: int | None) -> list[str]:
    words = [] if user is None else ["-l", user]
    words += [] if port is None else ["-p", str(port)]
    return [*words, "--", host]


def _port(server: Server) -> int | None:
    return server.port if "port" in server.model_fields_set else None


def _jump_text(jump: JumpHost) -> str:
    user = "" if jump.username is None else f"{jump.username}@"
    host = f"[{jump.host}]" if ":" in jump.host else jump.host
    return f"{user}{host}:{jump.port}" if "port" in jump.model_fields_set else f"{user}{host}"


def _percent(text: str) -> str:
    """Where ssh expands tokens, a % stands for itself when it is doubled."""
    return text.replace("%", "%%")


def _value(text: str) -> str:
    """As one word of ssh_config(5)."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_percent(quoted)}"'
