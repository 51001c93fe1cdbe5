"""The frozen types that a `servers.yaml` becomes.

The descriptions are what editors show; see `schema`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from trayconnect.config import values

Port = Annotated[int, Strict(), Field(ge=1, le=65535)]
LocalPort = Annotated[
    Port, AfterValidator(values.local_port), Field(json_schema_extra={"minimum": 1024})
]
Flag = Annotated[bool, Strict()]
Seconds = Annotated[float, Strict(), Field(gt=0, le=86_400)]
UserPath = Annotated[Path, BeforeValidator(values.user_path)]
AgentPlace = Annotated[str, AfterValidator(values.agent_place)]
Name = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(values.printable)]
UserName = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(values.printable)]
HostName = Annotated[
    str,
    Field(min_length=1, max_length=255, json_schema_extra={"pattern": values.HOST_PATTERN}),
    AfterValidator(values.host_name),
]
BindAddress = Annotated[str, AfterValidator(values.bind_address)]
PagePath = Annotated[
    str,
    Field(max_length=2000, json_schema_extra={"pattern": values.PATH_PATTERN}),
    AfterValidator(values.page_path),
]
Url = Annotated[
    str,
    Field(max_length=2000, json_schema_extra={"pattern": values.URL_PATTERN}),
    AfterValidator(values.direct_url),
]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Auth(Frozen):
    """How to log in."""

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
    """An SSH server to go through, as `[user@]host[:port]` in the file."""

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


class Jupyter(Frozen):
    """Where Jupyter listens, as seen from the server, and the page to open."""

    host: HostName = Field("localhost", description="As seen from the server.")
    port: Port | Literal["auto"] = Field(
        "auto",
        description="The port Jupyter listens on; auto: find the running one, or 8888 if none is "
        "found.",
    )
    path: PagePath = Field("/lab", description="The page to open.")


class Keepalive(Frozen):
    """A question to the server every `interval` seconds; dead after `count_max` unanswered."""

    interval: Seconds = Field(15, description="Seconds between two questions to the server.")
    count_max: Annotated[int, Strict(), Field(ge=1, le=100)] = Field(
        3, description="How many may go unanswered before the tunnel counts as dead."
    )


class Forward(Frozen):
    """One more local forward of a server."""

    name: Name = Field(description="Shown in the menu; unique within the server.")
    local_port: LocalPort = Field(
        description="The port on this machine. Default: derived from the names, and stable."
    )
    host: HostName = Field("localhost", description="Where to, as seen from the server.")
    port: Port = Field(description="The port there.")
    open: Flag = Field(False, description="Whether the menu offers to open it in the browser.")


_ALSO_OF_SSH = frozenset(("port", "jump_hosts", "connect_timeout", "interval", "count_max"))
"""Keys that take what ssh_config(5) says where the file says nothing."""


class Server(Frozen):
    """One entry of the file: an SSH server (`host`), or a direct connection (`url`)."""

    name: Name = Field(description="Shown in the menu; unique.")
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
    jupyter: Jupyter = Field(
        Jupyter(), description="Where Jupyter listens, as seen from the server."
    )
    local_port: LocalPort = Field(
        description="The port on this machine that leads to Jupyter. Default: derived from the "
        "name, and stable."
    )
    bind_address: BindAddress = Field(
        "127.0.0.1",
        description="The address on this machine to listen on. Anything but 127.0.0.1 lets others "
        "in.",
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
    forwards: tuple[Forward, ...] = Field((), description="More local forwards of this server.")
    url: Url | None = Field(
        None, description="A direct connection, without SSH; instead of host and all that tunnels."
    )

    @property
    def is_direct(self) -> bool:
        """Whether it is reached without SSH."""
        return self.url is not None

    def __eq__(self, other: object) -> bool:
        """Whether all is the same, and the same of it written: ssh_config(5) decides the rest."""
        return super().__eq__(other) and isinstance(other, Server) and self._wrote(other)

    def _wrote(self, other: Server) -> bool:
        pairs = [(self, other), (self.keepalive, other.keepalive)]
        pairs += zip(self.jump_hosts, other.jump_hosts, strict=True)
        return all(
            mine.model_fields_set & _ALSO_OF_SSH == theirs.model_fields_set & _ALSO_OF_SSH
            for mine, theirs in pairs
        )

    def same_tunnel(self, other: Server) -> bool:
        """Whether a live tunnel for `self` also serves `other`: only what the browser opens, and
        when, differs."""
        return self._tunnel_part() == other._tunnel_part()

    def _tunnel_part(self) -> Server:
        jupyter = self.jupyter.model_copy(update={"path": "/"})
        plain = {"open_browser": True, "connect_on_start": False, "jupyter": jupyter}
        return self.model_copy(update=plain)


class Config(Frozen):
    """A whole file."""

    servers: tuple[Server, ...] = ()

    def server(self, name: str) -> Server | None:
        """The entry of that name, or None."""
        return next((server for server in self.servers if server.name == name), None)
