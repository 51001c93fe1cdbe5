"""Stops a Jupyter, and finds out what that would lose."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from trayconnect.core import remote_script, sanitize
from trayconnect.core.abandonable import abandonable
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.page import Page
from trayconnect.services.dialling import ProbeError
from trayconnect.services.http_client import Response, request
from trayconnect.services.jupyter.discovery import LIMIT, Execute
from trayconnect.services.jupyter.discovery import script as text_of
from trayconnect.services.jupyter.kernels import NAME_LENGTH
from trayconnect.services.jupyter.model import FoundJupyter
from trayconnect.services.jupyter.start import assignments

TIMEOUT = 10.0
"""Seconds for one answer."""
END_LIMIT = 30
"""Seconds for its kernels and itself to end."""
LOOK_EVERY = 0.2
NAMED = 8
"""Kernels, and terminals, to name."""

_BEGIN = "@@trayconnect stop 1"
_STATE = re.compile(r"[a-z_]{1,20}")


@dataclass(frozen=True, slots=True)
class Losses:
    """What stopping a Jupyter now would lose."""

    kernels: tuple[str, ...] = ()
    """Each with its name and its state."""
    terminals: tuple[str, ...] = ()
    unknown: str = ""
    """Why nothing is known."""

    def __bool__(self) -> bool:
        return bool(self.kernels or self.terminals or self.unknown)

    @property
    def text(self) -> str:
        """Lines for people."""
        lines = []
        if self.kernels:
            lines.append(_counted("kernel", self.kernels))
        if self.terminals:
            lines.append(_counted("terminal", self.terminals))
        if self.unknown:
            lines.append(f"What runs there is unknown: {self.unknown}.")
        if lines:
            lines.append("Variables, running cells and programs in terminals would be lost.")
        return "\n".join(lines)


def losses(page: Page, cancel: CancelToken) -> Losses:
    """Find what runs there, without keeping an idle server from being culled. Raises
    `Cancelled`."""
    try:
        # Without the parameter, Jupyter counts the request as activity.
        running = _list(_ask("GET", page, "api/kernels?no_track_activity=1", cancel))
        names = {}
        if running:
            sessions = _list(_ask("GET", page, "api/sessions?no_track_activity=1", cancel))
            names = {_kernel_of(session): _name(session, "path", "name") for session in sessions}
        terminals = _terminals(page, cancel)
    except _Unanswered as error:
        return Losses(unknown=error.why)
    kernels = [
        f"{names.get(one.get('id')) or 'a kernel without a notebook'} ({_state(one)})"
        for one in running
    ]
    return Losses(tuple(kernels), tuple(_name(one, "name") or "a terminal" for one in terminals))


def identity(page: Page, used: FoundJupyter | None, cancel: CancelToken) -> str:
    """What identifies the Jupyter in use, even after another one is used: its process, or when it
    says that it was started; empty if unknown. Raises `Cancelled`."""
    if used is not None and used.pid and used.born:
        return f"{used.pid} {used.born}"
    try:
        said = json.loads(_ask("GET", page, "api/status?no_track_activity=1", cancel).body)
    except (_Unanswered, ValueError, RecursionError):
        return ""
    started = said.get("started") if isinstance(said, dict) else None
    return f"since {started}" if isinstance(started, str) else ""


def end(execute: Execute, asked: str, name: str, cancel: CancelToken) -> None:
    """End the process of that identity, and wait for its end. Raises `ProblemError`, and
    `Cancelled`: then the process may still end."""
    pid, _, when = asked.partition(" ")
    text = text_of("process.sh")
    text += assignments({"pid": pid, "when": when, "limit": str(END_LIMIT)}) + text_of("stop.sh")
    done = abandonable(
        lambda: execute(remote_script.COMMAND, remote_script.stdin(text), END_LIMIT + LIMIT),
        f"tc-stop {name}",
        cancel,
    )
    _, _, report = done.stdout.decode("utf-8", "replace").replace("\r", "").partition(_BEGIN)
    match report.split():
        case ["@@ended"]:
            return
        case ["@@gone"]:
            problem = Problem("That Jupyter has ended already", "Nothing else was stopped.")
        case ["@@lives"]:
            problem = Problem(
                f"Jupyter accepted the stop, but still runs after {END_LIMIT} s",
                "Its kernels may take long to end. Look at its log.",
                Recovery.RETRY,
            )
        case ["@@denied"]:
            problem = Problem("This account is not allowed to stop that Jupyter", "")
        case _:
            problem = Problem("The server did not carry out the stop of Jupyter", "Try again.")
    raise ProblemError(problem)


def shut_down(page: Page, cancel: CancelToken, asked: str = "") -> None:
    """Shut down a Jupyter without a known process through its API: only the one that was started at
    the time in `asked`, if there is one. Returns when it answers no more.

    Raises `ProblemError`, and `Cancelled`."""
    try:
        if not page.token:
            raise _Unanswered("its token is not known here", let_in=False)
        if asked and identity(page, None, cancel) != asked:
            raise ProblemError(
                Problem("Another Jupyter answers there by now", "Nothing was stopped.")
            )
        _ask("POST", page, "api/shutdown", cancel)
    except _Unanswered as error:
        raise ProblemError(_not_stopped(error)) from error
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
            f"Jupyter accepted the stop, but still answers after {END_LIMIT:g} s",
            "Look at its log on the server.",
            Recovery.RETRY,
        )
    )


class _Unanswered(Exception):  # noqa: N818 - carries a result rather than an error
    def __init__(self, why: str, *, let_in: bool = True, status: int = 0) -> None:
        super().__init__(why)
        self.why = why
        self.let_in = let_in
        self.status = status
        """Of the answer, if there was one."""


def _ask(method: str, page: Page, path: str, cancel: CancelToken) -> Response:
    """The answer. Raises `_Unanswered`."""
    try:
        answer = _send(method, page, path, cancel)
    except ProbeError as error:
        raise _Unanswered("it does not answer") from error
    if answer.status in (HTTPStatus.OK, HTTPStatus.NO_CONTENT):
        return answer
    let_in = answer.status not in (
        HTTPStatus.FOUND,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
    )
    why = f"it answers {answer.status}" if let_in else "it asks for a login"
    raise _Unanswered(why, let_in=let_in, status=answer.status)


def _send(method: str, page: Page, path: str, cancel: CancelToken) -> Response:
    url = f"{page.root}{path}"
    # Behind the tunnel no certificate can match: see `http_client.request`.
    return request(method, url, timeout=TIMEOUT, cancel=cancel, token=page.token, verify=False)


def _not_stopped(error: _Unanswered) -> Problem:
    if error.let_in:
        return Problem(
            "Jupyter does not answer, so it was not stopped",
            "Try again, or end it on the server; nothing is killed from here.",
            Recovery.RETRY,
            error.why,
        )
    return Problem(
        "This Jupyter can be stopped only from its own page",
        "Choose Shut Down in the File menu of its page.",
        Recovery.FIX_FIRST,
        error.why,
    )


def _terminals(page: Page, cancel: CancelToken) -> list[dict[str, Any]]:
    """Empty, too, for a server without the terminals extension."""
    try:
        return _list(_ask("GET", page, "api/terminals?no_track_activity=1", cancel))
    except _Unanswered as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return []
        raise


def _list(answer: Response) -> list[dict[str, Any]]:
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise _Unanswered("its answer cannot be read") from error
    if not isinstance(said, list):
        raise _Unanswered("its answer cannot be read")
    return [one for one in said if isinstance(one, dict)]


def _kernel_of(session: dict[str, Any]) -> object:
    kernel = session.get("kernel")
    return kernel.get("id") if isinstance(kernel, dict) else None


def _name(entry: dict[str, Any], *keys: str) -> str:
    for key in keys:
        value = entry.get(key)
        if isinstance(value, str) and (name := sanitize.line(value, NAME_LENGTH)):
            return name
    return ""


def _state(kernel: dict[str, Any]) -> str:
    state = kernel.get("execution_state")
    known = isinstance(state, str) and _STATE.fullmatch(state)
    return str(state) if known else "state unknown"


def _counted(noun: str, names: tuple[str, ...]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    plural = "" if len(names) == 1 else "s"
    return f"{len(names)} {noun}{plural}: {', '.join(names[:NAMED])}{more}."
