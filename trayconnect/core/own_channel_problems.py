"""Why a connection to a listener was refused, for people."""

from __future__ import annotations

from trayconnect.core.endpoints import Endpoint, TcpEndpoint, UnixEndpoint
from trayconnect.core.errors import Problem, Recovery
from trayconnect.core.link import Owner


def not_ours(target: Endpoint, owner: Owner) -> Problem:
    """Why a connection to a listener of that owner was refused."""
    where = _where(target)
    if owner is Owner.OTHERS:
        return Problem(
            f"What listens on {where} at the server belongs to another user",
            "Nothing is sent there. Start your own; trayconnect will notice. If you do want "
            f"theirs, add a plain forward to the file: -L {_example(target)}",
            Recovery.RETRY,
        )
    if owner is Owner.NOBODY:
        return Problem(
            f"What listened on {where} at the server has just ended",
            "Start it again; trayconnect will notice.",
            Recovery.RETRY,
        )
    return Problem(
        f"What listens on {where} at the server is not proven to be yours",
        "Nothing is sent there. Start your own; trayconnect will notice. If it is the right one, "
        "write its port in the file, then disconnect and connect again.",
        Recovery.RETRY,
        f"owner: {owner.value}",
    )


def replaceable(target: UnixEndpoint) -> Problem:
    """Why a connection to a socket in a world-writable folder was refused."""
    return Problem(
        f"Any user of the server can replace the socket {target.path}",
        "Nothing is sent there. Close its folder to others on the server, and each above it: "
        "chmod o-w FOLDER",
        Recovery.RETRY,
    )


def not_reported(target: Endpoint, detail: str) -> Problem:
    return Problem(
        f"The server did not report who owns {_where(target)}",
        "Nothing is sent there until it does. Try again in a moment.",
        Recovery.RETRY,
        detail,
    )


def not_accepted(target: Endpoint) -> Problem:
    """Why a connection that lacks its far end was refused."""
    return Problem(
        f"What listens on {_where(target)} at the server did not take the connection",
        "It is busy, or has just ended. Nothing is sent there. Try again in a moment.",
        Recovery.RETRY,
    )


def _where(target: Endpoint) -> str:
    if isinstance(target, TcpEndpoint) and target.host in ("127.0.0.1", "::1"):
        return f"localhost:{target.port}"
    return str(target)


def _example(target: Endpoint) -> str:
    return f"9999:{target}" if isinstance(target, TcpEndpoint) else f"9999:{target.path}"
