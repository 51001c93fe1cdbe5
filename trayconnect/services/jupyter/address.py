"""Where the browser goes: addresses of the local side, and pages under a base URL."""

from __future__ import annotations

import re

from trayconnect.config.local_addresses import jupyter_host, url_parts, url_path
from trayconnect.config.model import Server

_PAGE = re.compile(r"/(?:lab|tree|notebooks|edit|view|doc|nbclassic|retro|consoles|terminals)\b")


def host_port(host: str, port: int) -> str:
    """`host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def jupyter_authority(server: Server) -> str:
    """Where a browser on this machine reaches the server's Jupyter, and our own questions too."""
    return host_port(jupyter_host(server.bind_address, server.local_port), server.local_port)


def page_url(scheme: str, authority: str, base_url: str, path: str) -> str:
    """The page `path` of a server whose URLs begin with `base_url`; a path that begins with it
    already is taken as it is."""
    base, path = url_path(base_url), url_path(path)
    inside = path.startswith(base) or url_parts(path)[0] == base.rstrip("/")
    return f"{scheme}://{authority}{path if inside else base.rstrip('/') + path}"


def base_of(path: str) -> str:
    """The base URL that a page's path implies: what comes before Jupyter's own part of it."""
    path = url_parts(path)[0]
    found = _PAGE.search(path)
    return f"{path[: found.start()]}/" if found else "/"
