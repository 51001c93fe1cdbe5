"""A forward of the file, and the same from OpenSSH's words."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from trayconnect.config.endpoints import Endpoint, TcpEndpoint, UnixEndpoint
from trayconnect.config.forward_shape import DERIVED, faults
from trayconnect.config.forward_syntax import Kind, Spec, parse
from trayconnect.config.tools import ToolName
from trayconnect.config.types import (
    Flag,
    ForwardBindAddress,
    Frozen,
    HostName,
    LocalPort,
    LocalSocket,
    Name,
    PagePath,
    Port,
    RemotePort,
    RemoteSocket,
)

SHAPE_FAULT = "forward_shape"
"""The type of the error about keys that do not go together."""

_LONGEST_END = 36
_WILDCARDS = {"*": "0.0.0.0", "localhost": "127.0.0.1"}


class Forward(Frozen):
    """One more forward of a server, beside the one to Jupyter."""

    name: Name = Field(description="Shown in the menu; unique within the server.")
    kind: Annotated[Kind, WithJsonSchema({"enum": list(Kind)})] = Field(
        Kind.LOCAL,
        description="local: this computer listens, for one place that the server reaches. remote: "
        "the server listens, for one place that this computer reaches. dynamic: this computer "
        "listens as a SOCKS proxy, for every place that the server reaches.",
    )
    bind_address: ForwardBindAddress | None = Field(
        None,
        description="The address to listen on: an IP address, localhost, or * for every one. "
        "Default: the server's bind_address, for a remote forward localhost.",
    )
    local_port: LocalPort | None = Field(
        None, description="The port on this machine. Default: derived from the names, and stable."
    )
    local_socket: LocalSocket | None = Field(
        None,
        description="The path of a UNIX socket on this machine: to listen on, or where a remote "
        "forward leads.",
    )
    host: HostName = Field(
        "localhost",
        description="Where to, as seen from the server; for a remote forward, from this machine.",
    )
    port: Port | None = Field(None, description="The port there.")
    remote_port: RemotePort | None = Field(
        None,
        description="The port that the server listens on, for a remote forward; 0: it chooses.",
    )
    remote_socket: RemoteSocket | None = Field(
        None,
        description="The path of a UNIX socket on the server: where to, or what a remote forward "
        "listens on.",
    )
    open: Flag = Field(False, description="Whether the menu offers to open it in the browser.")
    path: PagePath = Field("/", description="The page to open.")
    ready: PagePath | None = Field(
        None,
        description="A path that answers when the page is ready: until then, the menu does not "
        "offer it. Default: it is not asked.",
    )
    tool: ToolName | None = Field(
        None,
        description="A web tool, which stands for name, port, open, path and ready, where they "
        "are not said.",
    )

    @model_validator(mode="after")
    def _keys_go_together(self) -> Self:
        said = {key for key in self.model_fields_set if getattr(self, key) is not None}
        for fault in faults(self.kind, said):
            raise PydanticCustomError(SHAPE_FAULT, "{words}", {"words": fault.message})
        if self.kind is not Kind.REMOTE and self.local_port is None and self.local_socket is None:
            raise PydanticCustomError(SHAPE_FAULT, "no {key}", {"key": DERIVED})
        return self

    def listens(self, bind_address: str) -> Endpoint:
        """What is listened on: here, or, for a remote forward, at the server, where "" stands for
        every address. `bind_address` is the server entry's."""
        if self.kind is Kind.REMOTE:
            if self.remote_socket is not None:
                return UnixEndpoint(self.remote_socket)
            address = self.bind_address or "localhost"
            return TcpEndpoint("" if address == "*" else address, self.remote_port or 0)
        if self.local_socket is not None:
            return UnixEndpoint(self.local_socket)
        address = self.bind_address or bind_address
        assert self.local_port is not None
        return TcpEndpoint(_WILDCARDS.get(address, address), self.local_port)

    @property
    def leads_to(self) -> Endpoint | None:
        """Where connections are carried: as seen from the server, or, for a remote forward, from
        here. None: their clients say, each for itself."""
        path = self.local_socket if self.kind is Kind.REMOTE else self.remote_socket
        if path is not None:
            return UnixEndpoint(path)
        return None if self.port is None else TcpEndpoint(self.host, self.port)


def from_openssh(kind: Kind, text: str, name: str | None = None) -> Forward:
    """The forward that OpenSSH's words say (see `forward_syntax`), named after its ends unless
    told otherwise.

    Raises ValueError, as pydantic's ValidationError when a value is out of what a file may say."""
    spec = parse(kind, text)
    return Forward.model_validate({"name": name or name_of(spec), **keys_of(spec)})


def keys_of(spec: Spec) -> dict[str, str | int]:
    """What a file would say instead."""
    ours, theirs = ("local_socket", "remote_socket")
    if spec.kind is Kind.REMOTE:
        ours, theirs = theirs, ours
    keys = {
        "kind": spec.kind.value,
        "bind_address": spec.listen_host if spec.listen_host != "" else "*",
        "remote_port" if spec.kind is Kind.REMOTE else "local_port": spec.listen_port,
        ours: spec.listen_path,
        "host": spec.host,
        "port": spec.port,
        theirs: spec.path,
    }
    return {key: value for key, value in keys.items() if value is not None}


def name_of(spec: Spec) -> str:
    """A name for the menu. This computer stands on the left, the server on the right."""
    near = _end(spec.listen_path, spec.listen_host, spec.listen_port)
    if spec.kind is Kind.DYNAMIC:
        return f"SOCKS {near}"
    far = _end(spec.path, spec.host, spec.port)
    return f"{far} ← {near}" if spec.kind is Kind.REMOTE else f"{near} → {far}"


def _end(path: str | None, host: str | None, port: int | None) -> str:
    if path is not None:
        text = path
    elif port == 0:
        text = "any port"
    else:
        text = str(port) if host is None else str(TcpEndpoint(host or "*", port or 0))
    return text if len(text) <= _LONGEST_END else "…" + text[1 - _LONGEST_END :]
