"""What the commands and the running app say to one another.

One JSON object each way, on one line, in ASCII, ended by a newline:

    {"version": 2, "command": "connect", "name": "GPU box", "wait": 30, "choice": null}
    {"version": 2, "ok": true, "problem": null, "data": null}

A problem is `{"title", "advice", "remedy", "detail"}`, as in `trayconnect.core.errors.Problem`.
Every key is always there; an unknown one is an error. `version` is looked at before anything
else, and changes with any change of the rest, so that an app that was left running over an update
and a newer command tell one another so instead of misunderstanding."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

from trayconnect.core.errors import Problem, Recovery

VERSION = 2
REQUEST_MAX = 64 * 1024
"""Bytes of a request, with its newline."""
REPLY_MAX = 4 * 1024 * 1024
"""Bytes of a reply, with its newline: the status of some thousands of servers."""
WAIT_MAX = 86_400.0
"""Seconds that a request may ask to wait."""

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"


class ProtocolError(ValueError):
    """A line that isn't one of ours; the text says what is wrong with it, for the log."""


class VersionError(ProtocolError):
    """The other side speaks another version of the protocol."""

    def __init__(self, theirs: int) -> None:
        super().__init__(f"version {theirs} instead of {VERSION}")
        self.theirs = theirs


class Command(enum.StrEnum):
    """What can be asked of the running app."""

    CONNECT = "connect"
    DISCONNECT = "disconnect"
    OPEN = "open"
    LINK = "link"
    """The address of a server's page, with the token that logs in."""
    START = "start"
    """Start Jupyter on a server."""
    LOSSES = "losses"
    """What would be lost by stopping a server's Jupyter now."""
    STOP = "stop"
    """Stop a server's Jupyter, whatever runs there; `choice` is its identity."""
    RESTART = "restart"
    """The same, and start one again."""
    JUPYTER_LOG = "jupyter-log"
    """The log of the Jupyter that was started on a server."""
    CHOOSE = "choose"
    """Another of a server's Jupyters."""
    RELOAD = "reload"
    QUIT = "quit"
    STATUS = "status"
    TRAY = "tray"
    """How the icon is shown, for `doctor`."""
    SHOW = "show"
    """A second start hands over to the first."""
    PING = "ping"


@dataclass(frozen=True, slots=True)
class Request:
    """One thing asked: `name` is an entry of the file; `wait` is how many seconds the answer may
    be held back for the outcome, None to be answered at once; `choice` is one of what the entry
    has several of."""

    command: Command
    name: str | None = None
    wait: float | None = None
    choice: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer. `problem` is never None when it is not `ok`. Raises ValueError if it is."""

    ok: bool
    problem: Problem | None = None
    data: JSON = None

    def __post_init__(self) -> None:
        if not self.ok and self.problem is None:
            raise ValueError("a reply that is not ok must say why")


def encode_request(request: Request) -> bytes:
    """The line to send. Raises `ProtocolError` for values that no request may hold."""
    _seconds(request.wait)
    message = {
        "command": request.command,
        "name": request.name,
        "wait": request.wait,
        "choice": request.choice,
    }
    return _encode(message, REQUEST_MAX)


def decode_request(line: bytes) -> Request:
    """The request of a line, with its newline or without. Raises `ProtocolError`."""
    message = _decode(line, REQUEST_MAX, {"command", "name", "wait", "choice"})
    try:
        command = Command(_text(message["command"]))
    except ValueError as error:
        raise ProtocolError("unknown command") from error
    name, choice = (
        None if message[key] is None else _text(message[key]) for key in ("name", "choice")
    )
    return Request(command, name, _seconds(message["wait"]), choice)


def encode_reply(reply: Reply) -> bytes:
    """The line to send. Raises `ProtocolError` for data that is not JSON, or too much of it."""
    message = {"ok": reply.ok, "problem": _from_problem(reply.problem), "data": reply.data}
    return _encode(message, REPLY_MAX)


def decode_reply(line: bytes) -> Reply:
    """The reply of a line, with its newline or without. Raises `ProtocolError`."""
    message = _decode(line, REPLY_MAX, {"ok", "problem", "data"})
    ok = message["ok"]
    if not isinstance(ok, bool):
        raise ProtocolError("ok must be true or false")
    if not ok and message["problem"] is None:
        raise ProtocolError("neither ok nor a problem")
    return Reply(ok, _to_problem(message["problem"]), message["data"])


def _encode(message: Mapping[str, object], limit: int) -> bytes:
    try:
        text = json.dumps({"version": VERSION, **message}, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise ProtocolError(f"cannot be said in JSON: {error}") from error
    line = text.encode("ascii") + b"\n"
    if len(line) > limit:
        raise ProtocolError(f"{len(line)} bytes; {limit} is the limit")
    return line


def _decode(line: bytes, limit: int, keys: set[str]) -> dict[str, Any]:
    """The checked envelope: a dict with exactly `keys`."""
    if len(line) > limit:
        raise ProtocolError(f"more than {limit} bytes")
    try:
        message = json.loads(line.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise ProtocolError("not an object")
    version = message.pop("version", None)
    if not isinstance(version, int) or isinstance(version, bool):
        raise ProtocolError("no version")
    if version != VERSION:
        raise VersionError(version)
    if message.keys() != keys:
        raise ProtocolError(f"the keys must be version, {', '.join(sorted(keys))}")
    return message


def _no_constant(word: str) -> NoReturn:
    raise ProtocolError(f"{word} is not JSON")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ProtocolError("a text was expected")
    return value


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= WAIT_MAX:
        raise ProtocolError(f"wait must be 0 to {WAIT_MAX:.0f} seconds")
    return float(value)


def _from_problem(problem: Problem | None) -> dict[str, str] | None:
    if problem is None:
        return None
    return {
        "title": problem.title,
        "advice": problem.advice,
        "remedy": problem.recovery.value,
        "detail": problem.detail,
    }


def _to_problem(value: object) -> Problem | None:
    if value is None:
        return None
    if not isinstance(value, dict) or value.keys() != {"title", "advice", "remedy", "detail"}:
        raise ProtocolError("not a problem")
    try:
        recovery = Recovery(_text(value["remedy"]))
    except ValueError as error:
        raise ProtocolError("unknown recovery") from error
    return Problem(_text(value["title"]), _text(value["advice"]), recovery, _text(value["detail"]))
