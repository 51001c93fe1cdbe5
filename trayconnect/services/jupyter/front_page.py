"""Which page a Jupyter has, where the file names none: not every one has JupyterLab."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

from trayconnect.core import sanitize
from trayconnect.services.jupyter.dial import ProbeError
from trayconnect.services.jupyter.probe import Response

_OTHERS = ("tree", "nbclassic/tree", "retro/tree", "voila")
_REDIRECTS = range(300, 400)
_LOGIN = "login"
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def front_page(get: Callable[[str], Response], base_url: str) -> str | None:
    """The path, below the base URL, of JupyterLab, else of what the server itself leads to, else
    of the first page that is known and there; at last "/". None if it does not answer.

    `get` asks for a path below the base URL; without a token, a page that is there leads to the
    login. One request where there is a JupyterLab. Raises `Cancelled` as `get` does."""
    try:
        if _is_there(get("lab")):
            return "/lab"
        return _led_to(get(""), base_url) or _first(get)
    except ProbeError:
        return None


def _is_there(answer: Response) -> bool:
    return answer.status < HTTPStatus.BAD_REQUEST or answer.status in _REFUSED


def _led_to(root: Response, base_url: str) -> str:
    """Where the root leads, if that is a page of this server's."""
    if root.status not in _REDIRECTS:
        return ""
    path = sanitize.exact(urlsplit(root.headers.get("location", "")).path)
    if not path.startswith(base_url):
        return ""
    inner = path.removeprefix(base_url)
    return "" if inner.partition("/")[0] in ("", _LOGIN) else f"/{inner}"


def _first(get: Callable[[str], Response]) -> str:
    return next((f"/{path}" for path in _OTHERS if _is_there(get(path))), "/")
