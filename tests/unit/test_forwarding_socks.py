"""SOCKS, byte by byte, over a pair of sockets."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.forwarding import LIMIT, finish
from tests.support.systems import resets_sockets
from trayconnect.core.endpoints import TcpEndpoint
from trayconnect.core.link import Refusal
from trayconnect.forwarding.socks import SocksError, SocksRequest, negotiate


@contextlib.contextmanager
def a_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    client, server = socket.socketpair()
    with client, server:
        client.settimeout(LIMIT)
        yield client, server


def read_all(client: socket.socket, server: socket.socket) -> bytes:
    server.close()
    data = b""
    while chunk := client.recv(4096):
        data += chunk
    return data


HELLO = b"\5\1\0"
NAME = b"\3\x0aexample.or"
V5 = [
    (HELLO + b"\5\1\0\1\x7f\0\0\1\x1f\x90", TcpEndpoint("127.0.0.1", 8080)),
    (HELLO + b"\5\1\0" + NAME + b"\0P", TcpEndpoint("example.or", 80)),
    (HELLO + b"\5\1\0\4" + bytes(15) + b"\1\0P", TcpEndpoint("::1", 80)),
    (b"\5\3\2\0\1" + b"\5\1\0\3\1h\0\1", TcpEndpoint("h", 1)),
    (HELLO + b"\5\1\0\3\5h\xc3\xb6he\0P", TcpEndpoint("höhe", 80)),
]
V4 = [
    (b"\4\1\0P\x7f\0\0\1ada\0", TcpEndpoint("127.0.0.1", 80)),
    (b"\4\1\0P\x7f\0\0\1\0", TcpEndpoint("127.0.0.1", 80)),
    (b"\4\1\0P\0\0\0\1ada\0example.or\0", TcpEndpoint("example.or", 80)),
]


@pytest.mark.parametrize(("said", "target"), [*V5, *V4])
def test_a_connect_is_read_to_its_last_byte(said: bytes, target: TcpEndpoint) -> None:
    with a_pair() as (client, server):
        client.sendall(said + b"GET /")
        request = finish(server, negotiate(server))
        assert (request.target, request.version) == (target, said[0])
        assert server.recv(100) == b"GET /"
        server.sendall(request.granted)
        granted = b"\5\0" + b"\5\0\0\1" + bytes(6) if said[0] == 5 else b"\0\x5a" + bytes(6)
        assert read_all(client, server) == granted


def failure(code: int) -> bytes:
    return b"\5\0" + bytes((5, code, 0, 1)) + bytes(6)


REFUSED_5 = [
    (b"\5\1\2", b"\5\xff"),  # a password is all that it offers
    (b"\5\0", b"\5\xff"),
    (HELLO + b"\5\2\0\1\x7f\0\0\1\0P", failure(7)),  # BIND
    (HELLO + b"\5\3\0\1\x7f\0\0\1\0P", failure(7)),  # UDP ASSOCIATE
    (HELLO + b"\5\1\0\7", failure(8)),
    (HELLO + b"\5\1\0\3\0\0P", failure(1)),  # a name without letters
    (HELLO + b"\5\1\0\3\2a\xff\0P", failure(1)),
    (HELLO + b"\5\1\0\3\3a b\0P", failure(1)),
    (HELLO + b"\5\1\0\3\2a\0\0P", failure(1)),
    (HELLO + b"\4\1\0\1", failure(1)),
]
REFUSED_4 = [
    (b"\4\2\0P\x7f\0\0\1\0", b"\0\x5b" + bytes(6)),
    (b"\4\1\0P\0\0\0\1\0\0", b"\0\x5b" + bytes(6)),
]


@pytest.mark.parametrize(("said", "answer"), [*REFUSED_5, *REFUSED_4])
def test_what_there_is_not_is_refused_by_its_code(said: bytes, answer: bytes) -> None:
    with a_pair() as (client, server):
        client.sendall(said)
        with pytest.raises(SocksError):
            finish(server, negotiate(server))
        assert read_all(client, server) == answer


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (Refusal.FORBIDDEN, 2),
        (Refusal.UNREACHABLE, 4),
        (Refusal.REFUSED, 5),
        (Refusal.OTHER, 1),
    ],
)
def test_why_there_is_no_channel(refusal: Refusal, code: int) -> None:
    for version, said in ((5, failure(code)[2:]), (4, b"\0\x5b" + bytes(6))):
        with a_pair() as (client, server):
            assert SocksRequest(TcpEndpoint("h", 1), version).denied(server, refusal)
            assert read_all(client, server) == said


@resets_sockets
def test_a_client_that_is_gone_cannot_be_told() -> None:
    with a_pair() as (client, server):
        client.close()
        assert not SocksRequest(TcpEndpoint("h", 1), 5).denied(server, Refusal.OTHER)


@pytest.mark.parametrize("start", [b"GET / HTTP/1.1\r\n", b"CONNECT h:443 HTTP/1.1\r\n"])
def test_a_browser_that_speaks_http_is_told_what_this_is(start: bytes) -> None:
    with a_pair() as (client, server):
        client.sendall(start + b"Host: localhost\r\n\r\n")
        with pytest.raises(SocksError):
            finish(server, negotiate(server))
        head, _, body = read_all(client, server).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 501 This is a SOCKS proxy\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"SOCKS" in body


def test_a_slow_client_is_given_up() -> None:
    for said in (b"", b"\5", HELLO, b"\4\1\0P\x7f\0\0\1ada", b"GET /"):
        with a_pair() as (client, server):
            client.sendall(said)
            with pytest.raises(SocksError, match="no SOCKS request came"):
                finish(server, negotiate(server, 0.05))


def test_an_endless_user_name_is_refused() -> None:
    with a_pair() as (client, server):
        client.sendall(b"\4\1\0P\x7f\0\0\1" + b"a" * 300)
        with pytest.raises(SocksError, match="too long"):
            finish(server, negotiate(server))


@given(
    said=st.binary(max_size=40)
    | st.binary(max_size=30).map(lambda rest: HELLO + b"\5" + rest)
    | st.binary(max_size=30).map(lambda rest: b"\4\1" + rest)
)
def test_whatever_is_said_ends(said: bytes) -> None:
    with a_pair() as (client, server):
        client.sendall(said)
        client.shutdown(socket.SHUT_WR)
        try:
            request = finish(server, negotiate(server))
        except SocksError:
            return
        assert request.target.host.isprintable()
        assert struct.pack("!H", request.target.port) in said
