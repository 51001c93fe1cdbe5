"""Where the browser goes: addresses of the local side, and pages under a base URL."""

from __future__ import annotations

import re

_PAGE = re.compile(r"/(?:lab|tree|notebooks|edit|view|doc|nbclassic|retro|consoles|terminals)\b")

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "localhost": "127.0.0.1", "": "127.0.0.1", "::": "::1"}


def host_port(host: str, port: int) -> str:
    """`host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def local_authority(bind_address: str, local_port: int) -> str:
    """What a browser on this machine uses for a listener bound there: an address of its own for
    the wildcard ones, and 127.0.0.1 for localhost, since cookies tell the two apart."""
    return host_port(_LOOPBACK.get(bind_address, bind_address), local_port)


def page_url(scheme: str, authority: str, base_url: str, path: str) -> str:
    """The page `path` of a server whose URLs begin with `base_url`; a path that begins with it
    already is taken as it is."""
    inside = path.startswith(base_url) or path == base_url.rstrip("/")
    return f"{scheme}://{authority}{path if inside else base_url.rstrip('/') + path}"


def base_of(path: str) -> str:
    """The base URL that a page's path implies: what comes before Jupyter's own part of it."""
    found = _PAGE.search(path)
    return f"{path[: found.start()]}/" if found else "/"
