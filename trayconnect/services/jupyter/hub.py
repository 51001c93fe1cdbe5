"""JupyterHub, as it shows from outside: it alone logs in to the servers that it starts."""

from __future__ import annotations

from trayconnect.services.jupyter.probe import Response


def is_hub(answer: Response) -> bool:
    """Whether a Hub, or a server that it started, says so of itself: both send this header with
    every answer."""
    return "x-jupyterhub-version" in answer.headers


def api_path(base_url: str) -> str:
    """The path of the Hub's own API, on the origin of a server with that base URL, which is
    `[prefix]/user/NAME/`."""
    prefix, found, _ = base_url.partition("/user/")
    return f"{prefix if found else base_url.rstrip('/')}/hub/api"
