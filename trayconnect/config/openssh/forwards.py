"""The forwards of ssh_config(5) and of ssh(1), as parse_forward() of readconf.c reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from trayconnect.config.openssh.scalars import port_number
from trayconnect.config.ssh_options import ForwardKind, ForwardSpec, Place

_FIELD = re.compile(r"\[(?P<bracketed>[^\]]*)\](?=:|$)|(?P<plain>(?:\\.|[^:\\])*)", re.DOTALL)
_SOCKS = "socks"


def parse_forward(kind: ForwardKind, text: str) -> ForwardSpec:
    """`[bind:]port:host:hostport` and its kin, as after -L, -R and -D. Raises ValueError."""
    fields = _fields(text.lstrip())
    if kind == "remote" and _is_listener(fields):
        kind = "remote-dynamic"
    if kind in ("dynamic", "remote-dynamic"):
        return ForwardSpec(kind, _place(fields, lowest=kind == "dynamic"))
    listen, target = _halves(fields)
    return ForwardSpec(
        kind, _place(listen, lowest=kind != "remote"), _place(target, needs_host=True)
    )


def parse_words(kind: ForwardKind, words: Sequence[str]) -> ForwardSpec:
    """The words of a line of ssh_config(5). Raises ValueError."""
    if not words or (kind == "local" and len(words) == 1):
        raise ValueError("it needs where to listen, and where to")
    return parse_forward(kind, ":".join(words[:2]))


def parse_printed(kind: ForwardKind, text: str) -> ForwardSpec:
    """A line of `ssh -G`. Raises ValueError."""
    listen, _, target = text.partition(" ")
    if kind == "dynamic" and (target or "/" in listen):
        raise ValueError("not a dynamic forward")  # local ones from sockets are printed so, too
    place = _printed(listen, lowest=kind != "remote")
    if target and not target.startswith(f"[{_SOCKS}]"):
        return ForwardSpec(kind, place, _printed(target, needs_host=True))
    return ForwardSpec("remote-dynamic" if kind == "remote" else "dynamic", place)


def _printed(text: str, *, lowest: int = 1, needs_host: bool = False) -> Place:
    if "/" in text and not text.startswith("["):
        return Place(path=text)  # as it is, whatever signs it holds
    return _place(_fields(text), lowest=lowest, needs_host=needs_host)


def _fields(text: str) -> list[str]:
    fields: list[str] = []
    position = 0
    while position < len(text):
        match = _FIELD.match(text, position)
        assert match is not None  # it matches nothing, too
        if match["bracketed"] is not None:
            fields.append(match["bracketed"])
        else:
            fields.append(re.sub(r"\\(.)", r"\1", match["plain"], flags=re.DOTALL))
        position = match.end()
        if position < len(text):
            if text[position] != ":":
                raise ValueError("it has a stray sign")
            position += 1
    return fields


def _is_listener(fields: Sequence[str]) -> bool:
    return len(fields) == 1 or (len(fields) == 2 and "/" not in fields[0] + fields[1])


def _halves(fields: list[str]) -> tuple[list[str], list[str]]:
    """Where to listen, and where to."""
    match [len(fields), *("/" in field for field in fields)]:
        case [2, _, True] | [3, True, _, _] | [3, _, _, False]:
            at = 1
        case [3, _, _, True] | [4, *_]:
            at = 2
        case _:
            raise ValueError("it must be [address:]port:host:port, or name sockets in their place")
    return fields[:at], fields[at:]


def _place(fields: Sequence[str], *, lowest: int = 1, needs_host: bool = False) -> Place:
    if len(fields) == 1 and "/" in fields[0]:
        return Place(path=fields[0])
    if not 1 + needs_host <= len(fields) <= 2 or "/" in fields[-1]:
        raise ValueError("it must name an address and a port, or a socket's path")
    host = fields[0] if len(fields) == 2 else None
    return Place(host=host, port=port_number(fields[-1], lowest))
