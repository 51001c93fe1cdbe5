"""The frozen types of a `servers.yaml`.

Editors show the descriptions; see `schema`."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict, WithJsonSchema
from pydantic_core import PydanticCustomError

from trayconnect.config import values
from trayconnect.config.algorithms import LEGACY, legacy_name
from trayconnect.config.batch_options import BatchOptions, batch_value
from trayconnect.config.forward_model import Forward
from trayconnect.config.forward_syntax import Kind
from trayconnect.config.local_addresses import is_loopback
from trayconnect.config.start_options import StartOptions, start_value
from trayconnect.config.values import (
    BindAddress,
    Flag,
    Frozen,
    HostName,
    LocalPort,
    Name,
    PagePath,
    Port,
    RemoteSocket,
    Seconds,
    Url,
    UserName,
    UserPath,
)
from trayconnect.core.errors import Problem, ProblemError

AgentPlace = Annotated[str, AfterValidator(values.agent_place)]

SAME_HOST = frozenset(("localhost", "127.0.0.1", "::1"))
"""The server itself, as Jupyter's host."""

DIRECT_KEYS = frozenset(("name", "group", "url", "open_browser", "connect_on_start"))
"""All keys that a direct connection takes."""

OWN_KEYS = ("name", "url", "local_port", "legacy")
"""Keys whose values no two servers share."""


class Auth(Frozen):
    """The credentials."""

    identity_file: UserPath | None = Field(
        None,
        description="A private key to log in with, such as ~/.ssh/id_ed25519: OpenSSH's, PEM or "
        "PuTTY's; or the public half of one that the agent holds.",
    )
    password: Literal["ask", "keyring"] = Field(
        "ask",
        description="Where a password, or the passphrase of a key, comes from when one is wanted: "
        "ask for it, or the system keyring. Never the password itself.",
    )
    agent: AgentPlace | None = Field(
        None,
        description="The socket of the ssh-agent to use, such as ~/.1password/agent.sock; none: "
        "no agent. Default: the one that IdentityAgent or SSH_AUTH_SOCK names.",
    )


class JumpHost(Frozen):
    """A jump host, as `[user@]host[:port]` in the file."""

    host: HostName
    port: Port = 22
    username: UserName | None = None


def _jump_host(value: object) -> object:
    if isinstance(value, JumpHost):
        return value
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "")
    return values.jump_host(value)


JumpHostText = Annotated[
    JumpHost,
    BeforeValidator(_jump_host),
    WithJsonSchema({"type": "string", "pattern": values.JUMP_HOST_PATTERN}),
]

LegacyName = Annotated[
    str, AfterValidator(legacy_name), WithJsonSchema({"type": "string", "enum": list(LEGACY)})
]


class Jupyter(Frozen):
    """Where Jupyter listens, as seen from the server, and the page to open."""

    host: HostName = Field("localhost", description="As seen from the server.")
    port: Port | Literal["auto"] = Field(
        "auto",
        description="The port Jupyter listens on; auto: find the running one that is yours.",
    )
    socket: RemoteSocket | None = Field(
        None, description="The path of the UNIX socket it listens on, instead of host and port."
    )
    path: PagePath = Field("/lab", description="The page to open.")


class Keepalive(Frozen):
    """A keepalive request every `interval` seconds; the link counts as dead after `count_max`
    unanswered ones."""

    interval: Seconds = Field(15, description="Seconds between two keepalive requests.")
    count_max: Annotated[int, Strict(), Field(ge=1, le=100)] = Field(
        3, description="How many may go unanswered before the tunnel counts as dead."
    )


_ALSO_OF_SSH = frozenset(("port", "jump_hosts", "connect_timeout", "interval", "count_max"))
"""Keys that default to ssh_config(5)."""


class Server(Frozen):
    """One entry of the file: an SSH server (`host`), or a direct connection (`url`)."""

    name: Name = Field(description="Shown in the menu; unique.")
    group: Name | None = Field(
        None, description="The submenu that shows it, with the others of that group."
    )
    host: HostName | None = Field(
        None, description="A name, an address, or a Host alias of ~/.ssh/config."
    )
    port: Port = Field(
        22, description="The port of the SSH server. Default: that of ~/.ssh/config, or 22."
    )
    username: UserName | None = Field(
        None, description="The account on the server. Default: the name of the local user."
    )
    auth: Auth = Field(Auth(), description="How to log in. The agent's keys are always tried.")
    jump_hosts: tuple[JumpHostText, ...] = Field(
        (),
        description="SSH servers to go through, in order, each as [user@]host[:port]; [] for none. "
        "Default: ProxyJump of ~/.ssh/config.",
    )
    legacy: tuple[LegacyName, ...] = Field(
        (),
        description="Old algorithms to allow for this server, which has nothing better. Not for "
        "its jump hosts.",
    )
    jupyter: Jupyter = Field(
        Jupyter(), description="Where Jupyter listens, as seen from the server."
    )
    start: Annotated[StartOptions | None, BeforeValidator(start_value)] = Field(
        None,
        description="Start Jupyter on the server where none runs: true, or how. Disconnecting "
        "never stops it.",
    )
    batch: Annotated[BatchOptions | None, BeforeValidator(batch_value)] = Field(
        None,
        description="Run Jupyter as a job of the cluster's scheduler, for which the server is the "
        "login node: true, or how. 'start' says what the job starts. Disconnecting never ends it.",
    )
    local_port: LocalPort = Field(
        description="The port on this machine that leads to Jupyter. Default: derived from the "
        "name, and stable."
    )
    bind_address: BindAddress = Field(
        "localhost",
        description="The address on this machine to listen on: localhost (127.0.0.1, [::1] and an "
        "address of its own for each page), another IP address, or * for every one, which lets "
        "other computers in.",
    )
    hold_seconds: Seconds = Field(
        20, description="How long a new local connection waits while the tunnel reconnects."
    )
    connect_timeout: Seconds = Field(
        15,
        description="The limit, in seconds, of each step of a connection: TCP, SSH banner, key "
        "exchange, login.",
    )
    keepalive: Keepalive = Field(
        Keepalive(), description="When a silent server counts as dead: interval times count_max."
    )
    open_browser: Flag = Field(True, description="Open the browser when Jupyter answers.")
    connect_on_start: Flag = Field(False, description="Connect when trayconnect starts.")
    notify_idle: Flag = Field(
        True,
        description="Whether to tell when a kernel that was busy for a minute or longer is idle "
        "again.",
    )
    forwards: tuple[Forward, ...] = Field(
        (),
        description="More forwards of this server, each a mapping, or as in OpenSSH: "
        "-L 8888:localhost:8888, -R 9000:localhost:9000, -D 1080.",
    )
    url: Url | None = Field(
        None,
        description="A direct connection, without SSH; instead of host and the keys of a tunnel.",
    )

    @property
    def kind(self) -> str:
        """The service of the entry: a name in `services.kinds`."""
        if self.url is not None:
            return "webpage"
        return "jupyter" if self.batch is None else "batch"

    @property
    def page_port(self) -> int | None:
        """The local port that leads to the page; None without SSH."""
        return self.local_port if self.url is None else None

    def open_ports(self, also: Iterable[Forward] = ()) -> tuple[int, ...]:
        """The local ports of the entry, and of `also`, that other computers can reach."""
        bound = [
            (self.bind_address, self.page_port),
            *(
                (forward.bind_address or self.bind_address, forward.local_port)
                for forward in (*self.forwards, *also)
                if forward.kind is not Kind.REMOTE
            ),
        ]
        return tuple(
            port for address, port in bound if port is not None and not is_loopback(address)
        )

    def __eq__(self, other: object) -> bool:
        """Whether all values are equal, the same keys are set, as ssh_config(5) supplies the
        others, and a batch job's options stand in the same lines, which a refusal names."""
        return super().__eq__(other) and isinstance(other, Server) and self._wrote(other)

    def _wrote(self, other: Server) -> bool:
        if self.batch and other.batch and self.batch.lines != other.batch.lines:
            return False
        pairs = [(self, other), (self.keepalive, other.keepalive)]
        pairs += zip(self.jump_hosts, other.jump_hosts, strict=True)
        return all(
            own.model_fields_set & _ALSO_OF_SSH == others.model_fields_set & _ALSO_OF_SSH
            for own, others in pairs
        )

    def same_link(self, other: Server) -> bool:
        """Whether a live link for `self` also serves `other`: they differ only in their place in
        the menu, in the page and when it opens, or in notifications."""
        return self._tunnel_part() == other._tunnel_part()

    def _tunnel_part(self) -> Server:
        jupyter = self.jupyter.model_copy(update={"path": "/"})
        plain = {
            "group": None,
            "open_browser": True,
            "connect_on_start": False,
            "notify_idle": True,
            "jupyter": jupyter,
            "start": None,
            "batch": None,
        }
        return self.model_copy(update=plain)


class Config(Frozen):
    """A whole file."""

    servers: tuple[Server, ...] = ()

    @property
    def ssh_servers(self) -> tuple[Server, ...]:
        """The entries that are reached by SSH."""
        return tuple(server for server in self.servers if server.host is not None)

    def server(self, name: str) -> Server | None:
        """The entry of that name, or None."""
        return next((server for server in self.servers if server.name == name), None)


def name_key(name: str) -> str:
    """Equal for names that differ only in case, or in their Unicode form (NFC, section 2.3.2 of UAX
    15)."""
    return unicodedata.normalize("NFC", name).casefold()


def find_server(servers: Sequence[Server], name: str) -> Server:
    """The entry of that name, ignoring case. Raises `ProblemError`."""
    by_key = {name_key(server.name): server for server in servers}
    key = name_key(name)
    if key in by_key:
        return by_key[key]
    close = difflib.get_close_matches(key, by_key, n=1)
    if close:
        advice = f"Did you mean “{by_key[close[0]].name}”?"
    elif servers:
        advice = "There are: " + ", ".join(server.name for server in servers)
    else:
        advice = "The server file has no servers yet"
    raise ProblemError(Problem(f"There is no server “{name}”", advice))


def require_ssh(server: Server) -> None:
    """Raises `ProblemError` for an entry without an SSH server."""
    if server.host is None:
        advice = "It has a url and no host, so there is no SSH server to log in to."
        raise ProblemError(Problem(f"“{server.name}” is a direct connection", advice))
