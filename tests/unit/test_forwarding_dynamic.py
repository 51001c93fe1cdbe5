"""A dynamic forward, with plain TCP in the place of the tunnel."""

from __future__ import annotations

import socket
import threading

import pytest

from tests.support.carrier import MakeLink
from tests.support.forwarding import (
    LIMIT,
    Service,
    a_server,
    held,
    listening,
    read_all,
)
from tests.support.ports import free_port
from trayconnect.config.model import Server
from trayconnect.core.endpoints import Endpoint, TcpEndpoint
from trayconnect.core.errors import Problem
from trayconnect.core.link import NotOpenedError, Refusal

pytestmark = pytest.mark.usefixtures("leaves_nothing")

HELLO = b"\5\1\0"
CONNECT = b"\5\1\0\3\1h\0P"
GRANTED = b"\5\0\0\1" + bytes(6)
WANTED = TcpEndpoint("h", 80)


@pytest.fixture
def server() -> Server:
    return a_server(forwards=[{"name": "proxy", "kind": "dynamic", "local_port": free_port()}])


def dial(server: Server) -> socket.socket:
    port = server.forwards[0].local_port
    assert port is not None
    return socket.create_connection((server.bind_address, port), LIMIT)


def read(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := client.recv(size - len(data))):
        data += more
    return data


def test_the_client_says_where(service: Service, server: Server, link: MakeLink) -> None:
    with listening(server) as forwarding:
        forwarding.attach(link(service.dial))
        with dial(server) as client:
            client.sendall(HELLO + CONNECT + b"ping")  # without waiting for the answers
            assert read(client, 12) == b"\5\0" + GRANTED
            assert read(client, 4) == b"ping"
        assert service.asked == [WANTED]


def test_it_is_held_until_there_is_a_tunnel(
    service: Service, server: Server, link: MakeLink
) -> None:
    with listening(server) as forwarding, dial(server) as client:
        client.sendall(HELLO)
        held(forwarding, 1)
        forwarding.attach(link(service.dial))
        assert read(client, 2) == b"\5\0"
        client.sendall(CONNECT)
        assert read(client, 10) == GRANTED


def test_one_whose_tunnel_ends_is_served_by_the_next(
    service: Service, server: Server, link: MakeLink
) -> None:
    opening, may_fail = threading.Event(), threading.Event()

    def dies(target: Endpoint, origin: tuple[str, int]) -> socket.socket:
        opening.set()
        assert may_fail.wait(LIMIT)
        raise NotOpenedError(Problem("lost", ""), Refusal.OTHER)

    with listening(server) as forwarding, dial(server) as client:
        first = link(dies)
        forwarding.attach(first)
        client.sendall(HELLO + CONNECT + b"ping")
        assert opening.wait(LIMIT)
        first.end()
        forwarding.detach()
        may_fail.set()
        held(forwarding, 1)
        forwarding.attach(link(service.dial))
        assert read(client, 16) == b"\5\0" + GRANTED + b"ping"


@pytest.mark.parametrize(
    ("refusal", "code"), [(Refusal.FORBIDDEN, 2), (Refusal.REFUSED, 5), (Refusal.UNREACHABLE, 4)]
)
def test_a_refusal_has_its_code_and_says_nothing_of_the_server(
    server: Server, refusal: Refusal, code: int, link: MakeLink
) -> None:
    told: list[Problem] = []

    def refuse(target: Endpoint, origin: tuple[str, int]) -> socket.socket:
        raise NotOpenedError(Problem("no", ""), refusal)

    with listening(server, on_refused=told.append) as forwarding:
        forwarding.attach(link(refuse))
        with dial(server) as client:
            client.sendall(HELLO + CONNECT)
            assert read_all(client) == b"\5\0" + bytes((5, code, 0, 1)) + bytes(6)
    assert told == []


def test_http_is_told_what_this_is(service: Service, server: Server, link: MakeLink) -> None:
    with listening(server) as forwarding:
        forwarding.attach(link(service.dial))
        with dial(server) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert b"This is a SOCKS proxy" in read_all(client)
    assert service.asked == []


def test_closing_does_not_wait_for_a_silent_client(
    service: Service, server: Server, link: MakeLink
) -> None:
    with listening(server) as forwarding:
        forwarding.attach(link(service.dial))
        with dial(server) as client:
            client.sendall(HELLO)
            assert read(client, 2) == b"\5\0"
            forwarding.close()
            assert client.recv(1) == b""
