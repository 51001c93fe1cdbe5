"""The SSH servers of one way: the jump hosts of an entry, then its host."""

from __future__ import annotations

import getpass
from dataclasses import dataclass, field

from trayconnect.config.model import Server
from trayconnect.config.ssh_options import SshOptions
from trayconnect.tunnel import known_hosts

DEFAULT_PORT = 22


@dataclass(frozen=True, slots=True)
class Target:
    """One SSH server to log in to.

    `server` is the name of the entry; `is_jump_host` tells a hop from its end; `options` are those
    of ssh_config(5) for it; `legacy` names old algorithms to allow."""

    server: str
    host: str
    port: int
    username: str
    is_jump_host: bool = False
    options: SshOptions = field(default_factory=SshOptions)
    legacy: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """`host`, or `host:port` where the port is not the usual one."""
        if self.port == DEFAULT_PORT:
            return self.host
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def known_hosts_names(self) -> tuple[str, ...]:
        """Under which names its key is looked up, the first being the one to write."""
        return known_hosts.names(self.host, self.port, self.options.host_key_alias)

    @property
    def certified_name(self) -> str:
        """The name that a host certificate must hold."""
        return (self.options.host_key_alias or self.host).lower()

    @property
    def account(self) -> str:
        """`user@address`."""
        return f"{self.username}@{self.address}"

    @property
    def description(self) -> str:
        """What it is to the user, to stand in a sentence."""
        kind = "the jump host of" if self.is_jump_host else "the server of"
        return f"{self.address}, {kind} “{self.server}”"


def targets(server: Server) -> tuple[Target, ...]:
    """Where to log in, in order; the last is the server itself."""
    if server.host is None:
        raise ValueError("a direct connection has no SSH server")
    hops = [
        Target(server.name, hop.host, hop.port, hop.username or getpass.getuser(), True)
        for hop in server.jump_hosts
    ]
    user = server.username or getpass.getuser()
    end = Target(server.name, server.host, server.port, user, legacy=server.legacy)
    return (*hops, end)
