"""Where an entry's local port leads, which page to open there, and what to do if nothing listens.
Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

from trayconnect.config.local_addresses import jupyter_host, url_parts, url_path
from trayconnect.config.model import SAME_HOST, Server
from trayconnect.core import sanitize
from trayconnect.core.page import Page
from trayconnect.services.dialling import ProbeError
from trayconnect.services.http_client import Response, host_port
from trayconnect.services.jupyter.discovery import RunningServer
from trayconnect.services.jupyter.readiness import HealthCheck, ProbeTarget
from trayconnect.services.protocol import Level

DEFAULT_PORT = 8888
"""Jupyter's default port."""


def target_of(server: Server, running: RunningServer | None) -> ProbeTarget:
    """Where the entry leads. `running`: the result of a search."""
    jupyter = server.jupyter
    if running is not None:
        return ProbeTarget(
            running.host,
            running.port,
            running.base_url,
            running.secure,
            running.token,
            at_node(running.host, running.port) if running.is_elsewhere else _RESTART,
            socket=running.socket,
            version=running.version,
            hub=running.hub,
        )
    base_url = base_of(jupyter.path)
    if jupyter.host not in SAME_HOST:
        port = DEFAULT_PORT if jupyter.port == "auto" else jupyter.port
        return ProbeTarget(jupyter.host, port, base_url, start_hint=at_node(jupyter.host, port))
    if jupyter.socket is not None:
        hint = _START_ON.format(jupyter.socket)
        return ProbeTarget(
            "localhost", DEFAULT_PORT, base_url, start_hint=hint, socket=jupyter.socket
        )
    port = DEFAULT_PORT if jupyter.port == "auto" else jupyter.port
    return ProbeTarget(jupyter.host, port, base_url, start_hint=_START_AT.format(port))


def page_of(
    server: Server,
    running: RunningServer | None,
    front: str | None,
    target: ProbeTarget,
    seen: HealthCheck,
) -> Page:
    """The page to open. `front`: the page that is there, if the file names none."""

    def address(path: str) -> str:
        authority = jupyter_authority(server)
        return page_url("https" if seen.secure else "http", authority, target.base_url, path)

    path = front or server.jupyter.path
    is_notebook = server.start is not None and server.start.app == "notebook"
    if running is not None and (running.is_classic or is_notebook) and path == "/lab":
        path = "/tree"
    token = target.token if seen.level is Level.LOGGED_IN else ""
    return Page(address(path), token, address("/"))


def at_node(host: str, port: int) -> str:
    """How to start one on another host than the server."""
    return (
        f"Start Jupyter on {host}, for example in a job with: "
        f"jupyter lab --no-browser --ip=0.0.0.0 --port={port}\ntrayconnect will notice. Or "
        "correct jupyter.host and jupyter.port in the file."
    )


_NOTICED = "; trayconnect will notice."
_CHOOSE = "Choose Start Jupyter in the menu, or start it there"
_RESTART = f"Jupyter has just gone from there. {_CHOOSE}{_NOTICED}"
START = f"{_CHOOSE}, for example with: jupyter lab --no-browser{_NOTICED}"
_START_ON = (
    f"{_CHOOSE}, for example with: jupyter lab --no-browser --sock={{}}{_NOTICED} "
    "Or correct jupyter.socket in the file."
)
_START_AT = (
    f"{_CHOOSE}, for example with: jupyter lab --no-browser --port={{}}{_NOTICED} "
    "Or correct jupyter.port in the file."
)


_PAGE = re.compile(r"/(?:lab|tree|notebooks|edit|view|doc|nbclassic|retro|consoles|terminals)\b")


def jupyter_authority(server: Server) -> str:
    """The address of the local port, for browsers and for our own requests."""
    return host_port(jupyter_host(server.bind_address, server.local_port), server.local_port)


def page_url(scheme: str, authority: str, base_url: str, path: str) -> str:
    """The page `path` below `base_url`; a path that begins with it is complete."""
    base, path = url_path(base_url), url_path(path)
    inside = path.startswith(base) or url_parts(path)[0] == base.rstrip("/")
    return f"{scheme}://{authority}{path if inside else base.rstrip('/') + path}"


def base_of(path: str) -> str:
    """The base URL of a page's path: what comes before Jupyter's own part of it."""
    path = url_parts(path)[0]
    found = _PAGE.search(path)
    return f"{path[: found.start()]}/" if found else "/"


LAB = "lab"
_OTHERS = ("tree", "nbclassic/tree", "retro/tree", "voila")
_REDIRECTS = range(300, 400)
_LOGIN = "login"
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def front_page(get: Callable[[str], Response], base_url: str) -> str | None:
    """The path, below the base URL, of JupyterLab, else the page that the root redirects to, else
    the first known page that exists, else "/". None if it does not answer.

    `get` asks for a path below the base URL; without a token, an existing page redirects to the
    login. One request if there is a JupyterLab. Raises `Cancelled` as `get` does."""
    try:
        if _is_there(get(LAB)):
            return f"/{LAB}"
        return _led_to(get(""), base_url) or _first(get)
    except ProbeError:
        return None


def _is_there(answer: Response) -> bool:
    return answer.status < HTTPStatus.BAD_REQUEST or answer.status in _REFUSED


def _led_to(root: Response, base_url: str) -> str:
    """The redirect of the root, if it leads to a page of this server."""
    if root.status not in _REDIRECTS:
        return ""
    path = sanitize.exact(urlsplit(root.headers.get("location", "")).path)
    if not path.startswith(base_url):
        return ""
    inner = path.removeprefix(base_url)
    return "" if inner.partition("/")[0] in ("", _LOGIN) else f"/{inner}"


def _first(get: Callable[[str], Response]) -> str:
    return next((f"/{path}" for path in _OTHERS if _is_there(get(path))), "/")
