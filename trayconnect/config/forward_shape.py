"""Which keys of a forward go together, for each kind of forward."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from trayconnect.config.forward_syntax import Kind


class ForwardShape(NamedTuple):
    """The keys of one kind. Of `listens` and of `leads`, either the port or the socket is said;
    `leads` is empty where the client of a connection says where it leads."""

    words: str
    listens: tuple[str, str]
    leads: tuple[str, str] | tuple[()]
    others: tuple[str, ...] = ()


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
"""It may be left out of the file."""

COMMON = ("name", "kind")

# What has a meaning only beside a port.
_OF_PORT = {
    "local_port": ("bind_address", "open", "open_as", "path", "ready", "tool"),
    "remote_port": ("bind_address",),
}
_OF_PORT["port"] = ("host",)


class Fault(NamedTuple):
    """`key`: the one to mend; empty when one is missing."""

    key: str
    message: str


def keys_of(shape: ForwardShape) -> tuple[str, ...]:
    """All keys that this kind takes."""
    host = ("host",) if shape.leads else ()
    return (*COMMON, "bind_address", *shape.listens, *host, *shape.leads, *shape.others)


def excluded(shape: ForwardShape) -> Iterator[tuple[str, str]]:
    """Pairs of keys of this kind that cannot stand together; the second is the one to remove."""
    for port, socket in filter(None, (shape.listens, shape.leads)):
        yield port, socket
        for key in _OF_PORT[port]:
            if key in keys_of(shape):
                yield socket, key


def needed(shape: ForwardShape) -> Iterator[tuple[str, str]]:
    """Pairs of keys of which one must be there."""
    if shape.listens[0] != DERIVED:
        yield shape.listens
    if shape.leads:
        yield shape.leads


def faults(kind: str, keys: Collection[str]) -> Iterator[Fault]:
    """What is wrong with a forward of that kind that says these keys. Keys that no forward has
    are not looked at."""
    shape = SHAPES[kind]
    known = {key for each in SHAPES.values() for key in keys_of(each)}
    for key in keys:
        if key in known and key not in keys_of(shape):
            yield Fault(key, f"'{key}' has no meaning for {shape.words}: remove it")
    for key, other in excluded(shape):
        if key in keys and other in keys:
            yield Fault(other, f"'{other}' has no meaning beside '{key}': remove one of them")
    for port, socket in needed(shape):
        if port not in keys and socket not in keys:
            words = f"this forward has no {port}: add '{port}: …'"
            yield Fault("", f"{words}, or '{socket}: …' for a UNIX socket")
