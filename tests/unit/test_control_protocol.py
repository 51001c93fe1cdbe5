from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trayconnect.control.protocol import (
    REPLY_MAX,
    REQUEST_MAX,
    VERSION,
    ProtocolError,
    Reply,
    VersionError,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
)
from trayconnect.core.command import JSON, WAIT_MAX, Command
from trayconnect.core.errors import Problem, Recovery

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For a busy machine."""

arguments = st.dictionaries(st.text(), st.text() | st.floats(0, WAIT_MAX))
commands = st.builds(Command, st.text(), st.text(), arguments)
problems = st.builds(Problem, st.text(), st.text(), st.sampled_from(Recovery), st.text())
data: st.SearchStrategy[JSON] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
replies = st.builds(Reply, st.just(True), st.none() | problems, data) | st.builds(
    Reply, st.just(False), problems, data
)


@relaxed
@given(commands)
def test_a_request_survives_the_way(command: Command) -> None:
    line = encode_request(command)
    assert decode_request(line) == command
    assert line.index(b"\n") == len(line) - 1
    assert line.isascii()


@relaxed
@given(replies)
def test_a_reply_survives_the_way(reply: Reply) -> None:
    line = encode_reply(reply)
    assert decode_reply(line) == reply
    assert line.index(b"\n") == len(line) - 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
near_misses = st.fixed_dictionaries(
    {"version": st.just(VERSION) | json_values},
    optional={
        key: st.just("connect") | json_values
        for key in ("name", "server", "arguments", "ok", "problem", "data")
    },
).map(lambda message: json.dumps(message).encode())


@relaxed
@given(st.binary() | near_misses)
def test_any_bytes_are_read_or_refused(line: bytes) -> None:
    for decode in (decode_request, decode_reply):
        with suppress(ProtocolError):
            decode(line)


def request_line(**changes: Any) -> bytes:
    message = {
        "version": VERSION,
        "name": "connect",
        "server": "GPU box",
        "arguments": {"wait": 30},
    }
    return json.dumps({**message, **changes}).encode()


def reply_line(**changes: Any) -> bytes:
    message = {"version": VERSION, "ok": True, "problem": None, "data": None}
    return json.dumps({**message, **changes}).encode()


def test_the_format_is_the_documented_one() -> None:
    assert encode_request(Command("connect", "GPU box", {"wait": 30})) == (
        b'{"version":3,"name":"connect","server":"GPU box","arguments":{"wait":30}}\n'
    )
    assert encode_reply(Reply(ok=True, data=[1])) == (
        b'{"version":3,"ok":true,"problem":null,"data":[1]}\n'
    )
    assert decode_request(request_line()) == Command("connect", "GPU box", {"wait": 30})
    problem = {"title": "T", "advice": "A", "remedy": "wait", "detail": "D"}
    assert decode_reply(reply_line(ok=False, problem=problem)) == Reply(
        ok=False, problem=Problem("T", "A", Recovery.RETRY, "D")
    )


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"[" * 50_000,
        b'{"a":' * 10_000,
        b"1" * 5000,
        request_line()[:-1],
        request_line() + b"\n" + request_line(),
        request_line(version="1"),
        request_line(version=True),
        request_line(version=None),
        request_line(name=None),
        request_line(name=["connect"]),
        request_line(server=7),
        request_line(arguments=None),
        request_line(arguments=[]),
        request_line(arguments={"wait": None}),
        request_line(arguments={"wait": True}),
        request_line(arguments={"jupyter": ["8888"]}),
        request_line(arguments={"wait": -1}),
        request_line(arguments={"wait": 86_401}),
        request_line(arguments={"wait": 10**400}),
        request_line(arguments={"wait": float("nan")}),
        request_line(arguments={"wait": float("inf")}),
        request_line().replace(b"30", b"1e999"),
        request_line(more=1),
        b'{"version": 2, "command": "ping", "name": null, "wait": null, "choice": null}',
        request_line(server="x" * REQUEST_MAX),
    ],
    ids=itertools.count(),
)
def test_a_bad_request_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_request(line)


@pytest.mark.parametrize(
    "line",
    [
        reply_line(ok=1),
        reply_line(ok=False),
        reply_line(problem="bad"),
        reply_line(problem={"title": "T"}),
        reply_line(problem={"title": "T", "advice": "A", "remedy": "pray", "detail": ""}),
        reply_line(problem={"title": 1, "advice": "A", "remedy": "wait", "detail": ""}),
        reply_line(data=float("nan")),
        reply_line(more=1),
        request_line(),
        reply_line(data="x" * REPLY_MAX),
    ],
    ids=itertools.count(),
)
def test_a_bad_reply_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_reply(line)


def test_another_version_is_told_apart_whatever_else_it_says() -> None:
    with pytest.raises(VersionError) as caught:
        decode_request(b'{"version": 1, "verb": "connect", "names": ["a"]}')
    assert caught.value.theirs == 1
    with pytest.raises(VersionError):
        decode_reply(b'{"version": 1}')


@pytest.mark.parametrize("wait", [-1, 86_401, float("nan"), float("inf")])
def test_no_request_is_made_that_would_be_refused(wait: float) -> None:
    with pytest.raises(ProtocolError):
        encode_request(Command("connect", "a", {"wait": wait}))


def circle() -> JSON:
    inner: list[JSON] = []
    inner.append(inner)
    return inner


@pytest.mark.parametrize(
    "make",
    [
        lambda: float("nan"),
        circle,
        lambda: "x" * REPLY_MAX,
        lambda: 10**5000,
        object,
    ],
)
def test_no_reply_is_made_that_would_be_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(ProtocolError):
        encode_reply(Reply(ok=True, data=make()))


def test_limits_are_met_to_the_byte() -> None:
    empty = len(encode_request(Command("open", "")))
    longest = Command("open", "x" * (REQUEST_MAX - empty))
    assert len(encode_request(longest)) == REQUEST_MAX
    assert decode_request(encode_request(longest)) == longest
    with pytest.raises(ProtocolError):
        encode_request(Command("open", "x" * (REQUEST_MAX - empty + 1)))


def test_a_refusal_must_say_why() -> None:
    with pytest.raises(ValueError, match="say why"):
        Reply(ok=False)
