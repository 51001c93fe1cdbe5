"""What can be wrong with the Jupyter behind a tunnel, in words; `where` is its `host:port` as
seen from the server. All of it may mend itself, so that a look goes on after each."""

from __future__ import annotations

from trayconnect.errors import Problem, Remedy


def nothing_listens(where: str, hint: str, cause: Problem) -> Problem:
    return Problem(
        f"SSH is up, but nothing listens on {where} at the server",
        hint,
        Remedy.WAIT,
        cause.detail or cause.title,
    )


def no_local_port(authority: str, detail: str) -> Problem:
    return Problem(
        f"{authority} on this machine takes no connections",
        "Disconnect and connect again.",
        Remedy.WAIT,
        detail,
    )


def silent(where: str, timeout: float) -> Problem:
    return Problem(
        f"Something listens on {where} at the server, but does not answer within {timeout:g} s",
        "It may still be starting, or be very busy; if it stays so, restart it on the server.",
        Remedy.WAIT,
    )


def not_http(where: str, detail: str) -> Problem:
    return Problem(
        f"Something listens on {where} at the server, but it does not speak HTTP",
        "Check jupyter.port in the file: another program may use that port.",
        Remedy.WAIT,
        detail,
    )


def gateway_error(where: str, status: int, reason: str) -> Problem:
    return Problem(
        f"{where} answers {status} {reason}".rstrip(),
        "A proxy listens there, but the server behind it does not answer: start that.",
        Remedy.WAIT,
    )


def not_jupyter(where: str) -> Problem:
    return Problem(
        f"What answers on {where} at the server is not Jupyter",
        "If that is not meant so, check jupyter.port in the file.",
        Remedy.WAIT,
    )


def token_refused(where: str) -> Problem:
    return Problem(
        f"Jupyter on {where} at the server does not accept the token found for it",
        "Log in on its page; restarting Jupyter on the server makes a new token.",
        Remedy.WAIT,
    )
