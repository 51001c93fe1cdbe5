"""The SSH servers of one route: the jump hosts of an entry, then its host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from trayconnect.config.model import Keepalive, Server
from trayconnect.ssh.config.interpret import HostConfig
from trayconnect.ssh.config.jump_chain import Hop, resolve_hops
from trayconnect.ssh.config.ssh_options import Query, SshOptions
from trayconnect.ssh.hostkeys import known_hosts

DEFAULT_PORT = 22
DEFAULT_TIMEOUT = 15.0


@dataclass(frozen=True, slots=True)
class LoginTarget:
    """One SSH server to log in to.

    `server` is the name of the entry; `is_jump_host` distinguishes a jump host from the last
    server; `options` are those of ssh_config(5) for it; `legacy` names old algorithms to allow.
    `connect_timeout` seconds apply to each step of connecting to it."""

    server: str
    host: str
    port: int
    username: str
    is_jump_host: bool = False
    options: SshOptions = field(default_factory=SshOptions)
    legacy: tuple[str, ...] = ()
    connect_timeout: float = DEFAULT_TIMEOUT

    @property
    def address(self) -> str:
        """`host`, or `host:port` for a port other than 22."""
        if self.port == DEFAULT_PORT:
            return self.host
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def known_hosts_names(self) -> tuple[str, ...]:
        """The names under which its key is looked up; the first is the one to write."""
        return known_hosts.names(self.host, self.port, self.options.host_key_alias)

    @property
    def certified_name(self) -> str:
        """The name that a host certificate must contain."""
        return (self.options.host_key_alias or self.host).lower()

    @property
    def account(self) -> str:
        """`user@address`."""
        return f"{self.username}@{self.address}"

    @property
    def description(self) -> str:
        """The address and the entry, for a sentence: `gpu (“GPU box”)`."""
        role = "jump host of " if self.is_jump_host else ""
        return f"{self.address} ({role}“{self.server}”)"


def targets(server: Server, look_up: Callable[[Query], HostConfig]) -> tuple[LoginTarget, ...]:
    """The servers to log in to, in order; the last is the server itself. The entry takes precedence
    over ssh_config(5), which `look_up` returns. Raises `ProblemError`."""
    hops = resolve_hops(server, look_up)
    return tuple(_target(server, hop, is_end=hop is hops[-1]) for hop in hops)


def keepalive(server: Server, options: SshOptions) -> Keepalive:
    """The keepalive of the entry, or else of ssh_config(5)."""
    is_set = server.keepalive.model_fields_set
    asked = {
        "interval": options.server_alive_interval,
        "count_max": options.server_alive_count_max,
    }
    update = {
        key: value for key, value in asked.items() if key not in is_set and value and value > 0
    }
    return server.keepalive.model_copy(update=update)


def _target(server: Server, hop: Hop, *, is_end: bool) -> LoginTarget:
    config, options = hop.config, hop.config.options
    named = server.auth.identity_file
    if named is not None and (is_end or not options.identity_files):
        options = replace(options, identity_files=(named,), no_identity_files=False)
    timeout = None if "connect_timeout" in server.model_fields_set else options.connect_timeout
    return LoginTarget(
        server=server.name,
        host=config.hostname,
        port=config.port,
        username=config.user,
        is_jump_host=not is_end,
        options=options,
        legacy=server.legacy if is_end else (),
        connect_timeout=server.connect_timeout if timeout is None else timeout,
    )
