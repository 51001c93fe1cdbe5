"""Stopping a Jupyter by its own API, and what would be lost by that."""

from __future__ import annotations

import json
import time
from http import HTTPStatus
from typing import Any

from trayconnect import sanitize
from trayconnect.cancel import Cancel
from trayconnect.errors import Problem, ProblemError, Remedy
from trayconnect.jupyter.dial import ProbeError
from trayconnect.jupyter.kernels import NAME_LENGTH
from trayconnect.jupyter.probe import Response, request
from trayconnect.ports import Page

TIMEOUT = 10.0
"""Seconds for one answer."""
END_LIMIT = 20.0
"""Seconds that it may take to end its kernels and itself."""
LOOK_EVERY = 0.2


def busy_kernels(page: Page, cancel: Cancel) -> tuple[str, ...]:
    """What the kernels that compute now belong to, as the notebooks' paths. Asking keeps no idle
    server from being culled. Raises `ProblemError` and `Cancelled`."""
    # Without the parameter, Jupyter takes the question for activity.
    kernels = _list(_ask("GET", page, "api/kernels?no_track_activity=1", cancel))
    busy = [kernel.get("id") for kernel in kernels if kernel.get("execution_state") == "busy"]
    if not busy:
        return ()
    sessions = _list(_ask("GET", page, "api/sessions?no_track_activity=1", cancel))
    names = {_kernel_of(session): _name(session) for session in sessions}
    return tuple(names.get(kernel) or "a kernel without a notebook" for kernel in busy)


def shut_down(page: Page, cancel: Cancel) -> None:
    """Let it end its kernels and itself, and wait until nothing answers there any more.

    Raises `ProblemError`: nothing is killed where it does not take the order. And `Cancelled`."""
    _ask("POST", page, "api/shutdown", cancel)
    deadline = time.monotonic() + END_LIMIT
    while time.monotonic() < deadline:
        try:
            _send("GET", page, "api", cancel)
        except ProbeError:
            return
        if cancel.wait(LOOK_EVERY):
            break
    cancel.check()
    raise ProblemError(
        Problem(
            f"Jupyter took the order to stop, but still answers after {END_LIMIT:g} s",
            "Look at its log on the server.",
            Remedy.WAIT,
        )
    )


def _ask(method: str, page: Page, path: str, cancel: Cancel) -> Response:
    """Its answer to somebody who is logged in. Raises `ProblemError`."""
    if not page.token:
        raise ProblemError(_not_let_in("its token is not known here"))
    try:
        answer = _send(method, page, path, cancel)
    except ProbeError as error:
        raise ProblemError(_no_answer(str(error))) from error
    match answer.status:
        case HTTPStatus.OK | HTTPStatus.NO_CONTENT:
            return answer
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            raise ProblemError(_not_let_in(f"it answers {answer.status} {answer.reason}"))
        case _:
            raise ProblemError(_no_answer(f"it answers {answer.status} {answer.reason}"))


def _send(method: str, page: Page, path: str, cancel: Cancel) -> Response:
    url = f"{page.root}{path}"
    # Behind the tunnel no certificate can match: see `probe.request`.
    return request(method, url, timeout=TIMEOUT, cancel=cancel, token=page.token, verify=False)


def _no_answer(detail: str) -> Problem:
    return Problem(
        "Jupyter does not answer, so it was not told to stop",
        "Try again, or end it on the server; nothing is killed from here.",
        Remedy.WAIT,
        detail,
    )


def _not_let_in(detail: str) -> Problem:
    return Problem(
        "Jupyter lets only people stop it who are logged in",
        "Choose Shut Down in the File menu of its page.",
        Remedy.FIX,
        detail,
    )


def _list(answer: Response) -> list[dict[str, Any]]:
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise ProblemError(_no_answer("its answer is no JSON")) from error
    return [one for one in said if isinstance(one, dict)] if isinstance(said, list) else []


def _kernel_of(session: dict[str, Any]) -> object:
    kernel = session.get("kernel")
    return kernel.get("id") if isinstance(kernel, dict) else None


def _name(session: dict[str, Any]) -> str:
    for key in ("path", "name"):
        value = session.get(key)
        if isinstance(value, str) and (name := sanitize.line(value, NAME_LENGTH)):
            return name
    return ""
