"""A forward of the file, and its form in OpenSSH's syntax."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, ValidationError, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from trayconnect.config.forward_syntax import FORMS, ForwardEnd, ForwardSpec, Kind, parse
from trayconnect.config.local_addresses import addresses, near_host, tool_host
from trayconnect.config.tools import ToolName
from trayconnect.config.values import (
    BindAddress,
    Flag,
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
from trayconnect.core.endpoints import Endpoint, TcpEndpoint, UnixEndpoint


class ForwardShape(NamedTuple):
    """The keys of one kind. Of `listens` and of `leads`, one key is given, the port or the socket;
    `leads` is empty if each client names its target."""

    label: str
    listens: tuple[str, str]
    leads: tuple[str, str] | tuple[()]
    others: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys that this kind takes."""
        host = ("host",) if self.leads else ()
        return (*COMMON, "bind_address", *self.listens, *host, *self.leads, *self.others)


SHAPES: dict[str, ForwardShape] = {
    Kind.LOCAL: ForwardShape(
        "a local forward",
        ("local_port", "local_socket"),
        ("port", "remote_socket"),
        ("open", "open_as", "path", "ready", "tool"),
    ),
    Kind.REMOTE: ForwardShape(
        "a remote forward", ("remote_port", "remote_socket"), ("port", "local_socket")
    ),
    Kind.DYNAMIC: ForwardShape("a dynamic forward", ("local_port", "local_socket"), ()),
}

DERIVED = "local_port"
"""It may be missing in the file."""

COMMON = ("name", "kind")

# Keys that are meaningful only with a port.
_OF_PORT = {
    "local_port": ("bind_address", "open", "open_as", "path", "ready", "tool"),
    "remote_port": ("bind_address",),
}
_OF_PORT["port"] = ("host",)


class Fault(NamedTuple):
    """`key` is the one to correct; empty when one is missing."""

    key: str
    message: str


def excluded(shape: ForwardShape) -> Iterator[tuple[str, str]]:
    """Pairs of keys of this kind that exclude each other; the second is the one to remove."""
    for port, socket in filter(None, (shape.listens, shape.leads)):
        yield port, socket
        for key in _OF_PORT[port]:
            if key in shape.keys:
                yield socket, key


def required_keys(shape: ForwardShape) -> Iterator[tuple[str, str]]:
    """Pairs of keys of which one is required."""
    if shape.listens[0] != DERIVED:
        yield shape.listens
    if shape.leads:
        yield shape.leads


def faults(kind: str, keys: Collection[str]) -> Iterator[Fault]:
    """The faults of a forward of that kind with these keys. Keys that no kind has are ignored."""
    shape = SHAPES[kind]
    known = {key for each in SHAPES.values() for key in each.keys}
    for key in keys:
        if key in known and key not in shape.keys:
            yield Fault(key, f"'{key}' has no meaning for {shape.label}: remove it")
    for key, other in excluded(shape):
        if key in keys and other in keys:
            yield Fault(other, f"'{other}' has no meaning beside '{key}': remove one of them")
    for port, socket in required_keys(shape):
        if port not in keys and socket not in keys:
            words = f"this forward has no {port}: add '{port}: …'"
            yield Fault("", f"{words}, or '{socket}: …' for a UNIX socket")


SHAPE_FAULT = "forward_shape"
"""The error type for keys that exclude or require each other."""

NO_REMOTE_PROXY = "trayconnect offers no SOCKS proxy at the server"

_LONGEST_END = 36
_UNPRIVILEGED = 1024


class Forward(Frozen):
    """One more forward of a server, besides the one to Jupyter."""

    name: Name = Field(description="Shown in the menu; unique within the server.")
    kind: Annotated[Kind, WithJsonSchema({"enum": list(Kind)})] = Field(
        Kind.LOCAL,
        description="local: this computer listens, for one place that the server reaches. remote: "
        "the server listens, for one place that this computer reaches. dynamic: this computer "
        "listens as a SOCKS proxy, for every place that the server reaches.",
    )
    bind_address: BindAddress | None = Field(
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
    open_as: Literal["address", "localhost"] = Field(
        "address",
        description="The host in the page's link. address: one of the page's own, such as "
        "127.155.66.8, so that no other page receives its cookies. localhost: for a tool that "
        "takes only this name.",
    )
    path: PagePath = Field("/", description="The page to open.")
    ready: PagePath | None = Field(
        None,
        description="A path that answers when the page is ready: until then, the menu does not "
        "offer it. Default: it is not asked.",
    )
    tool: ToolName | None = Field(
        None,
        description="A web tool, which sets name, port, open, path and ready, "
        "where they are not given.",
    )

    @model_validator(mode="after")
    def _keys_go_together(self) -> Self:
        given = {key for key in self.model_fields_set if getattr(self, key) is not None}
        for fault in faults(self.kind, given):
            raise PydanticCustomError(SHAPE_FAULT, "{words}", {"words": fault.message})
        if self.kind is not Kind.REMOTE and self.local_port is None and self.local_socket is None:
            raise PydanticCustomError(SHAPE_FAULT, "no {key}", {"key": DERIVED})
        return self

    def listens(self, bind_address: str) -> Endpoint:
        """The listener as the file gives it: on this computer, where "*" means every address, or,
        for a remote forward, at the server, where "" does. `bind_address` is the server entry's."""
        if self.kind is Kind.REMOTE:
            if self.remote_socket is not None:
                return UnixEndpoint(self.remote_socket)
            address = self.bind_address or "localhost"
            return TcpEndpoint("" if address == "*" else address, self.remote_port or 0)
        if self.local_socket is not None:
            return UnixEndpoint(self.local_socket)
        assert self.local_port is not None
        return TcpEndpoint(self.bind_address or bind_address, self.local_port)

    def binds(self, bind_address: str) -> tuple[Endpoint, ...]:
        """Every address that a forward with a local listener binds; see
        `local_addresses.addresses`."""
        listener = self.listens(bind_address)
        if not isinstance(listener, TcpEndpoint):
            return (listener,)
        own = self.open and self.open_as == "address"
        return tuple(
            TcpEndpoint(address, listener.port)
            for address in addresses(listener.host, listener.port, own=own)
        )

    def near(self, bind_address: str) -> Endpoint:
        """The address at which a program on this computer reaches a local listener."""
        listener = self.listens(bind_address)
        if not isinstance(listener, TcpEndpoint):
            return listener
        return TcpEndpoint(near_host(listener.host), listener.port)

    def authority(self, bind_address: str) -> str:
        """The host and port in the page's address."""
        listener = self.listens(bind_address)
        assert isinstance(listener, TcpEndpoint)
        host = tool_host(listener.host, listener.port, only_localhost=self.open_as == "localhost")
        return str(TcpEndpoint(host, listener.port))

    @property
    def has_page(self) -> bool:
        """Whether it leads to a page for the browser."""
        return self.kind is Kind.LOCAL and (self.open or self.ready is not None)

    @property
    def leads_to(self) -> Endpoint | None:
        """The target of its connections: as seen from the server, or, for a remote forward, from
        here. None: each client names its own."""
        path = self.local_socket if self.kind is Kind.REMOTE else self.remote_socket
        if path is not None:
            return UnixEndpoint(path)
        return None if self.port is None else TcpEndpoint(self.host, self.port)


def spec_of(kind: Kind, text: str) -> ForwardSpec:
    """The forward in OpenSSH's syntax, as after -L or, with a space between the ends, as in
    ssh_config(5). Raises ValueError as `forward_syntax.parse`."""
    ends = text.split()
    if len(ends) > 2:
        raise ValueError(f"must be {FORMS[kind]}")
    spec = parse(kind, ":".join(ends))
    if kind is Kind.REMOTE and spec.target is None:
        raise ValueError(f"must say where it leads: {NO_REMOTE_PROXY}")
    return spec


def as_forward(spec: ForwardSpec, name: str) -> Forward:
    """A forward that does not come from the file. Only the file is refused privileged ports.

    Raises ValueError in words for people."""
    keys = keys_of(spec)
    port = keys.get("local_port")
    if port is not None:
        keys["local_port"] = _UNPRIVILEGED
    try:
        forward = Forward.model_validate({"name": name, **keys})
    except ValidationError as error:
        first = error.errors()[0]
        reason = first.get("ctx", {}).get("error", first["msg"])
        raise ValueError(f"{''.join(map(str, first['loc'][:1]))} {reason}".lstrip()) from error
    return forward if port is None else forward.model_copy(update={"local_port": port})


def keys_of(spec: ForwardSpec) -> dict[str, str | int]:
    """The keys that say the same in the file."""
    listen, target = spec.listen, spec.target
    local_key, remote_key = ("local_socket", "remote_socket")
    if spec.kind is Kind.REMOTE:
        local_key, remote_key = remote_key, local_key
    port = "remote_port" if spec.kind is Kind.REMOTE else "local_port"
    keys: dict[str, str | int | None] = {
        "kind": spec.kind.value,
        "bind_address": "*" if listen.host == "" else listen.host,
        **({local_key: listen.path} if listen.path is not None else {port: listen.port}),
    }
    if target is not None:
        leads = {"host": target.host, "port": target.port}
        keys |= {remote_key: target.path} if target.path is not None else leads
    return {key: value for key, value in keys.items() if value is not None}


def name_of(spec: ForwardSpec) -> str:
    """A name for the menu: this computer on the left, the server on the right."""
    near = end_text(spec.listen)
    if spec.target is None:
        return f"SOCKS {near}"
    far = end_text(spec.target)
    return f"{far} ← {near}" if spec.kind is Kind.REMOTE else f"{near} → {far}"


def end_text(place: ForwardEnd) -> str:
    """One end, as part of a name."""
    if place.path is not None:
        text = place.path
    elif place.port == 0:
        text = "any port"
    elif place.host is None:
        text = str(place.port)
    else:
        text = str(TcpEndpoint(place.host or "*", place.port))
    return text if len(text) <= _LONGEST_END else "…" + text[1 - _LONGEST_END :]
