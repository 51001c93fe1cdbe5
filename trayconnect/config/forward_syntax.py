"""OpenSSH's syntax of a forward: the arguments of -L, -R and -D in ssh(1), and of LocalForward,
RemoteForward and DynamicForward in ssh_config(5).

As `parse_forward` of OpenSSH's readconf.c, without the expansion of variables (`${HOME}`) and
tokens (`%h`)."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

_LONGEST_HOST = 1024
_ANYWHERE = ("", "*")
""""Every address" in the syntax of ssh(1)."""


class Kind(StrEnum):
    """Which side listens, and the kind of target."""

    LOCAL = "local"
    """This computer listens, for one target that the server reaches."""
    REMOTE = "remote"
    """The server listens, for one target that this computer reaches."""
    DYNAMIC = "dynamic"
    """This computer listens as a SOCKS proxy, for every target that the server reaches."""


FORMS = {
    Kind.LOCAL: "[bind_address:]port:host:hostport, with a path for either end that is a socket",
    Kind.REMOTE: "[bind_address:]port:host:hostport, with a path for either end that is a socket",
    Kind.DYNAMIC: "[bind_address:]port",
}
KEYWORDS = {
    Kind.LOCAL: "LocalForward",
    Kind.REMOTE: "RemoteForward",
    Kind.DYNAMIC: "DynamicForward",
}
"""Their names in ssh_config(5)."""


@dataclass(frozen=True, slots=True)
class ForwardEnd:
    """The listener or the target of a forward: a socket's `path`, or an address and a port.

    In a listener, `host` None means unspecified, "" every address; `port` 0 lets the server
    choose."""

    host: str | None = None
    port: int = 0
    path: str | None = None

    def __str__(self) -> str:
        """As in the argument of -L."""
        if self.path is not None:
            return _escaped(self.path)
        if self.host is None:
            return str(self.port)
        # A slash that is not escaped makes a path, also in brackets.
        bracketed = ":" in self.host and not set("]/") & set(self.host)
        host = f"[{self.host}]" if bracketed else _escaped(self.host).replace("/", "\\/")
        return f"{host or '*'}:{self.port}"


@dataclass(frozen=True, slots=True)
class ForwardSpec:
    """One forward. `target` None: it is a SOCKS proxy, whose clients name the targets; a remote
    forward may be one, too."""

    kind: Kind
    listen: ForwardEnd
    target: ForwardEnd | None = None

    @property
    def option(self) -> str:
        """As ssh(1) takes it: `-L 8888:localhost:8888`."""
        letter = KEYWORDS[self.kind][0]
        return f"-{letter} {self.listen}" + (f":{self.target}" if self.target else "")


def parse(kind: Kind, text: str) -> ForwardSpec:
    """Parse the argument of -L, -R or -D.

    Raises ValueError with words that can follow a key's name; they never repeat the text."""
    fields = _fields(text, kind)
    spec = None if kind is Kind.DYNAMIC else _static(kind, fields)
    if spec is None and kind is not Kind.LOCAL:
        spec = _dynamic(kind, fields)
    if spec is None:
        raise ValueError(_wrong_form(kind))
    if kind is not Kind.REMOTE and spec.listen.path is None and spec.listen.port == 0:
        raise ValueError("must name the port to listen on; only a remote forward may use 0")
    if spec.target is not None and spec.target.path is None and spec.target.port == 0:
        raise ValueError("must lead to a port from 1 to 65535")
    return spec


def parse_words(kind: Kind, words: Sequence[str]) -> ForwardSpec:
    """Parse the arguments of a line of ssh_config(5), one for each end. Raises ValueError as
    `parse`."""
    if not words or (kind is Kind.LOCAL and len(words) == 1):
        raise ValueError("must say where to listen, and where it leads")
    spec = parse(kind, ":".join(words[:2]))
    if len(words) == 1 and spec.target is not None:
        raise ValueError("must have a space between where to listen and where it leads")
    return spec


@dataclass(frozen=True, slots=True)
class _SyntaxField:
    text: str
    is_path: bool


def _fields(text: str, kind: Kind) -> list[_SyntaxField]:
    fields: list[_SyntaxField] = []
    rest: str | None = text
    while rest:
        field, rest = _bracketed(rest, kind) if rest.startswith("[") else _plain(rest, kind)
        fields.append(field)
    return fields


def _bracketed(text: str, kind: Kind) -> tuple[_SyntaxField, str]:
    """A field in brackets, verbatim."""
    inside, closed, rest = text[1:].partition("]")
    if not closed or (rest and not rest.startswith(":")):
        raise ValueError(_wrong_form(kind))
    return _SyntaxField(inside, "/" in inside), rest[1:]


def _plain(text: str, kind: Kind) -> tuple[_SyntaxField, str]:
    """A field up to the next colon; a backslash escapes the next character."""
    taken: list[str] = []
    is_path = False
    characters = iter(enumerate(text))
    for at, character in characters:
        if character == ":":
            return _SyntaxField("".join(taken), is_path), text[at + 1 :]
        if character == "\\":
            _, character = next(characters, (at, ""))
            if not character:
                raise ValueError(_wrong_form(kind))
        elif character == "/":
            is_path = True
        taken.append(character)
    return _SyntaxField("".join(taken), is_path), ""


def _dynamic(kind: Kind, fields: list[_SyntaxField]) -> ForwardSpec | None:
    match fields:
        case [_SyntaxField(path, True)]:
            return ForwardSpec(kind, ForwardEnd(path=path))
        case [_SyntaxField(port)]:
            return ForwardSpec(kind, ForwardEnd(port=_port(port)))
        case [_SyntaxField(host), _SyntaxField(port, False)]:
            return ForwardSpec(kind, ForwardEnd(_bind(host), _port(port)))
    return None


def _static(kind: Kind, fields: list[_SyntaxField]) -> ForwardSpec | None:
    match fields:
        case [_SyntaxField(listen, True), _SyntaxField(path, True)]:
            return ForwardSpec(kind, ForwardEnd(path=listen), ForwardEnd(path=path))
        case [_SyntaxField(listen), _SyntaxField(path, True)]:
            return ForwardSpec(kind, ForwardEnd(port=_port(listen)), ForwardEnd(path=path))
        case [_SyntaxField(listen, True), host, port]:
            return ForwardSpec(kind, ForwardEnd(path=listen), _target(host, port))
        case [_SyntaxField(bind), _SyntaxField(listen), _SyntaxField(path, True)]:
            return ForwardSpec(kind, ForwardEnd(_bind(bind), _port(listen)), ForwardEnd(path=path))
        case [_SyntaxField(listen), host, port]:
            return ForwardSpec(kind, ForwardEnd(port=_port(listen)), _target(host, port))
        case [_SyntaxField(bind), _SyntaxField(listen), host, port]:
            return ForwardSpec(kind, ForwardEnd(_bind(bind), _port(listen)), _target(host, port))
    return None


def _target(host: _SyntaxField, port: _SyntaxField) -> ForwardEnd:
    return ForwardEnd(_host(host.text), _port(port.text))


def _port(text: str) -> int:
    """As OpenSSH's a2port: a number, or the name of a service."""
    if not text.isascii() or not text.isdecimal():
        try:
            return socket.getservbyname(text, "tcp")
        except (OSError, ValueError):
            raise ValueError("names a port that is neither a number nor a service") from None
    digits = text.lstrip("0")
    number = int(digits[:6] or "0")  # six digits are out of range
    if number > 65535:
        raise ValueError("names a port above 65535")
    return number


def _host(text: str) -> str:
    if len(text) > _LONGEST_HOST:
        raise ValueError("names a host that is too long")
    return text


def _bind(text: str) -> str:
    return "" if text in _ANYWHERE else _host(text)


def _escaped(text: str) -> str:
    return re.sub(r"[\\:\[]", r"\\\g<0>", text)


def _wrong_form(kind: Kind) -> str:
    return f"must be {FORMS[kind]}"
