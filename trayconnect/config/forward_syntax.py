"""OpenSSH's way to write a forward: the arguments of -L, -R and -D in ssh(1), or what follows
LocalForward, RemoteForward and DynamicForward in ssh_config(5).

Pure; read as `parse_forward` of OpenSSH's readconf.c reads it, but that variables (`${HOME}`) and
tokens (`%h`) are not replaced.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

_LONGEST_HOST = 1024
_ANYWHERE = ("", "*")
"""How ssh(1) writes "on every address"."""


class Kind(StrEnum):
    """Who listens, and for what."""

    LOCAL = "local"
    """This computer, for one place that the server reaches."""
    REMOTE = "remote"
    """The server, for one place that this computer reaches."""
    DYNAMIC = "dynamic"
    """This computer, as a SOCKS proxy, for every place that the server reaches."""


FORMS = {
    Kind.LOCAL: "[bind_address:]port:host:hostport, with a path for either end that is a socket",
    Kind.REMOTE: "[bind_address:]port:host:hostport, with a path for either end that is a socket",
    Kind.DYNAMIC: "[bind_address:]port",
}


@dataclass(frozen=True, slots=True)
class Spec:
    """What one forward says. At each end either the path or the port is there; a dynamic one has
    no second end. `listen_host` None: not said; "": every address."""

    kind: Kind
    listen_host: str | None = None
    listen_port: int | None = None
    listen_path: str | None = None
    host: str | None = None
    port: int | None = None
    path: str | None = None


def parse(kind: Kind, text: str) -> Spec:
    """Read one forward; its ends may stand apart, as in ssh_config(5).

    Raises ValueError with words that can follow a key's name; they never repeat the text."""
    ends = text.split()
    if not 1 <= len(ends) <= 2:
        raise ValueError(_wrong_form(kind))
    fields = _fields(":".join(ends), kind)
    spec = _dynamic(fields) if kind is Kind.DYNAMIC else _static(kind, fields)
    if spec is None and kind is Kind.REMOTE and _dynamic(fields):
        raise ValueError("must say where it leads: no SOCKS proxy is offered on the server's side")
    if spec is None:
        raise ValueError(_wrong_form(kind))
    if kind is not Kind.REMOTE and spec.listen_port == 0:
        raise ValueError("must name the port to listen on; only a remote forward may say 0")
    if spec.port == 0:
        raise ValueError("must lead to a port from 1 to 65535")
    return spec


@dataclass(frozen=True, slots=True)
class _Field:
    text: str
    is_path: bool


def _fields(text: str, kind: Kind) -> list[_Field]:
    fields: list[_Field] = []
    rest: str | None = text
    while rest:
        field, rest = _bracketed(rest, kind) if rest.startswith("[") else _plain(rest, kind)
        fields.append(field)
    return fields


def _bracketed(text: str, kind: Kind) -> tuple[_Field, str]:
    """A field in brackets is taken as it is."""
    inside, closed, rest = text[1:].partition("]")
    if not closed or (rest and not rest.startswith(":")):
        raise ValueError(_wrong_form(kind))
    return _Field(inside, "/" in inside), rest[1:]


def _plain(text: str, kind: Kind) -> tuple[_Field, str]:
    """A field up to the next colon; a backslash takes away what the next character means."""
    taken: list[str] = []
    is_path = False
    characters = iter(enumerate(text))
    for at, character in characters:
        if character == ":":
            return _Field("".join(taken), is_path), text[at + 1 :]
        if character == "\\":
            _, character = next(characters, (at, ""))
            if not character:
                raise ValueError(_wrong_form(kind))
        elif character == "/":
            is_path = True
        taken.append(character)
    return _Field("".join(taken), is_path), ""


def _dynamic(fields: list[_Field]) -> Spec | None:
    match fields:
        case [_Field(path, True)]:
            return Spec(Kind.DYNAMIC, listen_path=path)
        case [_Field(port)]:
            return Spec(Kind.DYNAMIC, listen_port=_port(port))
        case [_Field(host), _Field(port, False)]:
            return Spec(Kind.DYNAMIC, _bind(host), _port(port))
    return None


def _static(kind: Kind, fields: list[_Field]) -> Spec | None:
    match fields:
        case [_Field(listen, True), _Field(path, True)]:
            return Spec(kind, listen_path=listen, path=path)
        case [_Field(listen), _Field(path, True)]:
            return Spec(kind, listen_port=_port(listen), path=path)
        case [_Field(listen, True), _Field(host), _Field(port)]:
            return Spec(kind, listen_path=listen, host=_host(host), port=_port(port))
        case [_Field(bind), _Field(listen), _Field(path, True)]:
            return Spec(kind, _bind(bind), _port(listen), path=path)
        case [_Field(listen), _Field(host), _Field(port)]:
            return Spec(kind, listen_port=_port(listen), host=_host(host), port=_port(port))
        case [_Field(bind), _Field(listen), _Field(host), _Field(port)]:
            return Spec(kind, _bind(bind), _port(listen), host=_host(host), port=_port(port))
    return None


def _port(text: str) -> int:
    """As OpenSSH's a2port, but that names of services are not looked up."""
    if not text.isascii() or not text.isdecimal():
        raise ValueError("names a port that is not a number")
    digits = text.lstrip("0")
    number = int(digits[:6] or "0")  # six digits are too many already
    if number > 65535:
        raise ValueError("names a port above 65535")
    return number


def _host(text: str) -> str:
    if len(text) > _LONGEST_HOST:
        raise ValueError("names a host that is too long")
    return text


def _bind(text: str) -> str:
    return "" if text in _ANYWHERE else _host(text)


def _wrong_form(kind: Kind) -> str:
    return f"must be {FORMS[kind]}"
