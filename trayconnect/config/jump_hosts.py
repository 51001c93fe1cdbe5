"""ProxyJump: a comma-separated list of jump hosts."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote

from trayconnect.config.openssh_scalars import port_number


class Jump(NamedTuple):
    """`[user@]host[:port]`; None: unspecified."""

    host: str
    user: str | None = None
    port: int | None = None


def parse(text: str) -> tuple[Jump, ...]:
    """The hosts in order; none for `none`. Raises ValueError."""
    if text.strip().lower() == "none":
        return ()
    return tuple(parse_destination(part.strip()) for part in text.split(","))


def parse_destination(text: str) -> Jump:
    """`[user@]host[:port]` or `ssh://[user@]host[:port]`. Raises ValueError."""
    is_uri = text.startswith("ssh://")
    text = text.removeprefix("ssh://")
    user, at, rest = text.rpartition("@")
    if is_uri:
        rest = rest.partition("/")[0]
        user = unquote(user.partition(";")[0])
    if at and not user:
        raise ValueError("the user's name before '@' is missing")
    host, port = _host_and_port(rest)
    if not host or host.startswith("-") or any(c.isspace() for c in host):
        raise ValueError(f"{text!r} must be [user@]host[:port]")
    return Jump(host, user or None, port_number(port) if port else None)


def _host_and_port(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError("a '[' is not closed, or something follows it")
        return host, rest[1:]
    host, _, port = text.partition(":")
    if ":" in port:
        raise ValueError("write an IPv6 address in brackets")
    return host, port
