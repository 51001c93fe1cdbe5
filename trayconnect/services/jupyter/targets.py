"""Where an entry's local port is to lead, and how to start what is missing there. Pure."""

from __future__ import annotations

from trayconnect.config.model import SAME_HOST, Server
from trayconnect.core.page import Page
from trayconnect.services.jupyter.address import base_of, jupyter_authority, page_url
from trayconnect.services.jupyter.discovery import RunningServer
from trayconnect.services.jupyter.readiness import HealthCheck, ProbeTarget
from trayconnect.services.model import Level

DEFAULT_PORT = 8888
"""Where Jupyter listens unless told otherwise."""


def target_of(server: Server, running: RunningServer | None) -> ProbeTarget:
    """Where the entry leads, and what to do when nothing listens there. `running`: what a search
    found."""
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
    """What to open. `front`: the page that is there, where the file names none."""

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
    """How to start one on another host: not on the server, where Start Jupyter would."""
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
