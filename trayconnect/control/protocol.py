"""Wire format of the control socket.

One JSON object each way, on one line, in ASCII, ended by a newline:

    {"version": 3, "name": "connect", "server": "GPU box", "arguments": {"wait": 30}}
    {"version": 3, "ok": true, "problem": null, "data": null}

A request is a `core.command.Command`. A problem is `{"title", "advice", "remedy", "detail"}`, as in
`core.errors.Problem`.
Every key is always there; an unknown one is an error. `version` is looked at before anything
else, and changes with any change of the rest, so that an app that was left running over an update
and a newer command tell one another so instead of misunderstanding."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from trayconnect.control.address import REPLY_MAX as REPLY_MAX
from trayconnect.control.address import REQUEST_MAX as REQUEST_MAX
from trayconnect.control.address import VERSION as VERSION
from trayconnect.core.command import JSON, Command, from_json, to_json
from trayconnect.core.errors import Problem, Recovery


class ProtocolError(ValueError):
    """The line is not valid; the text says why, for the log."""


class VersionError(ProtocolError):
    """The other side speaks another version of the protocol."""

    def __init__(self, theirs: int) -> None:
        super().__init__(f"version {theirs} instead of {VERSION}")
        self.theirs = theirs


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer. `problem` is never None when it is not `ok`. Raises ValueError if it is."""

    ok: bool
    problem: Problem | None = None
    data: JSON = None

    def __post_init__(self) -> None:
        if not self.ok and self.problem is None:
            raise ValueError("a reply that is not ok must say why")


def encode_request(command: Command) -> bytes:
    """The line to send. Raises `ProtocolError` for arguments that no command may have."""
    try:
        return _encode(to_json(command), REQUEST_MAX)
    except ValueError as error:
        raise ProtocolError(str(error)) from error


def decode_request(line: bytes) -> Command:
    """The command of a line, with its newline or without. Raises `ProtocolError`."""
    message = _decode(line, REQUEST_MAX, {"name", "server", "arguments"})
    try:
        return from_json(message)
    except ValueError as error:
        raise ProtocolError(str(error)) from error


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
        raise ProtocolError(f"is not JSON: {error}") from error
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
