"""What a client gets whose forward leads nowhere."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from tests.support.carrier import MakeLink
from tests.support.forwarding import LIMIT, a_server, dial, finish, listening, read_all, refuse
from trayconnect.core.endpoints import TcpEndpoint
from trayconnect.core.errors import Problem, Recovery
from trayconnect.core.link import Own
from trayconnect.forwarding import refusal_page

pytestmark = pytest.mark.usefixtures("leaves_nothing")

PROBLEM = Problem("No <Jupyter> runs", "Start one.\nThen wait.", Recovery.RETRY)
GET = b"GET /lab?token=abc HTTP/1.1\r\nHost: x\r\nAuthorization: token abc\r\n\r\n"


def told(*sent: bytes) -> bytes:
    """What is answered to a client that sends these pieces."""
    here, there = socket.socketpair()
    with here, there:
        there.settimeout(LIMIT)

        def serve() -> None:
            finish(here, refusal_page.turn_away(here, PROBLEM))

        server = threading.Thread(target=serve)
        server.start()
        for piece in sent:
            there.sendall(piece)
        answer = read_all(there)
        there.close()
        server.join(LIMIT)
        assert not server.is_alive()
        return answer


@pytest.mark.parametrize(
    "sent",
    [(GET,), (GET[:5], GET[5:]), (b"POST /api HTTP/1.1\r\nContent-Length: 9\r\n\r\n123456789",)],
)
def test_a_page_that_says_why(sent: tuple[bytes, ...]) -> None:
    head, _, body = told(*sent).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 503 Service Unavailable"
    assert {b"Connection: close", b"Cache-Control: no-store"} <= set(lines)
    assert b"Content-Length: %d" % len(body) in lines
    assert b"No &lt;Jupyter&gt; runs" in body
    assert b"Start one.<br>Then wait." in body
    assert b"abc" not in head + body


def test_a_head_without_a_body() -> None:
    head, _, body = told(b"HEAD / HTTP/1.1\r\n\r\n").partition(b"\r\n\r\n")
    assert (head[:12], body) == (b"HTTP/1.1 503", b"")


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02", b"SSH-2.0-x\r\n\r\n", b"get / http\r\n\r\n", b"GET /\r\n\r\n"]
)
def test_what_is_no_http_is_hung_up_on(sent: bytes) -> None:
    assert told(sent) == b""


def test_one_that_says_nothing_or_never_ends_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusal_page, "HEAD_SECONDS", 0.05)
    monkeypatch.setattr(refusal_page, "_LINGER_SECONDS", 0.05)
    assert told() == b""
    endless = b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000
    assert told(endless).startswith(b"HTTP/1.1 503")


def test_a_target_that_is_a_problem_leads_nowhere_until_there_is_one(link: MakeLink) -> None:
    """And no channel is opened for it."""
    server = a_server(jupyter={"port": "auto"})
    refused: list[Problem] = []
    with listening(server, on_refused=refused.append) as forwarding:
        forwarding.attach(link(refuse))
        with dial(server) as early:
            early.sendall(GET)
            forwarding.set_target(PROBLEM)
            assert read_all(early).startswith(b"HTTP/1.1 503")
        assert refused == [PROBLEM]
        # Without anything that tells whose it is, `auto` leads nowhere.
        forwarding.set_target(Own(TcpEndpoint("localhost", 8888), named=False))
        with dial(server) as late:
            late.sendall(GET)
            assert b"not proven to be yours" in read_all(late)


def test_closing_does_not_wait_for_one_that_says_nothing(link: MakeLink) -> None:
    server = a_server(jupyter={"port": "auto"})
    with listening(server) as forwarding:
        forwarding.attach(link(refuse))
        forwarding.set_target(PROBLEM)
        client = dial(server)
    with client, contextlib.suppress(ConnectionResetError):
        assert client.recv(1) == b""
