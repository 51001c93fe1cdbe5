"""The keys of each kind of forward, and which of them go together."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from trayconnect.config.forward_syntax import Kind


class ForwardShape(NamedTuple):
    """The keys of one kind. Of `listens` and of `leads`, one key is given, the port or the socket;
    `leads` is empty if each client names its target."""

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


def keys_of(shape: ForwardShape) -> tuple[str, ...]:
    """All keys that this kind takes."""
    host = ("host",) if shape.leads else ()
    return (*COMMON, "bind_address", *shape.listens, *host, *shape.leads, *shape.others)


def excluded(shape: ForwardShape) -> Iterator[tuple[str, str]]:
    """Pairs of keys of this kind that exclude each other; the second is the one to remove."""
    for port, socket in filter(None, (shape.listens, shape.leads)):
        yield port, socket
        for key in _OF_PORT[port]:
            if key in keys_of(shape):
                yield socket, key


def needed(shape: ForwardShape) -> Iterator[tuple[str, str]]:
    """Pairs of keys of which one is required."""
    if shape.listens[0] != DERIVED:
        yield shape.listens
    if shape.leads:
        yield shape.leads


def faults(kind: str, keys: Collection[str]) -> Iterator[Fault]:
    """The faults of a forward of that kind with these keys. Keys that no kind has are ignored."""
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
