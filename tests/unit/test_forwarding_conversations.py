"""Many clients that say nothing: one thread has them all, and serves the others meanwhile."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.carrier import MakeLink
from tests.support.forwarding import LIMIT, Service, a_server, eventually, listening, read_all
from tests.support.ports import free_port
from trayconnect.config.model import Server
from trayconnect.core.errors import Problem
from trayconnect.forwarding.conversations import MOST, Conversation, Conversations, Wanted

pytestmark = pytest.mark.usefixtures("leaves_nothing")

SILENT = MOST + 44
"""More than are kept; this test has both ends of each, and 1,024 descriptors."""


@pytest.fixture
def server() -> Server:
    return a_server(forwards=[{"name": "proxy", "kind": "dynamic", "local_port": free_port()}])


@contextlib.contextmanager
def silent(port: int, first: bytes) -> Iterator[list[socket.socket]]:
    """Clients that begin to ask, and stop."""
    with ExitStack() as stack:
        clients = []
        for _ in range(SILENT):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), LIMIT))
            client.sendall(first)
            clients.append(client)
        yield clients


def hung_up_on(client: socket.socket) -> bool:
    client.settimeout(0.01)
    try:
        while client.recv(100):
            continue
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True


def check_kept(clients: list[socket.socket], before: set[threading.Thread]) -> None:
    """The oldest make room, and few threads have come."""
    eventually(lambda: all(map(hung_up_on, clients[: SILENT - MOST])), "room")
    assert not any(map(hung_up_on, clients[SILENT - MOST + 1 :]))
    assert len(set(threading.enumerate()) - before) < 20


def test_half_a_socks_request(service: Service, server: Server, link: MakeLink) -> None:
    with listening(server) as forwarding:
        forwarding.attach(link(service.dial))
        before = set(threading.enumerate())
        port = server.forwards[0].local_port
        assert port is not None
        with silent(port, b"\5\1\0\5") as clients:
            with socket.create_connection(("127.0.0.1", port), LIMIT) as client:
                client.sendall(b"\5\1\0\5\1\0\3\1h\0Pping")
                received = b""
                while len(received) < 16:
                    received += client.recv(100)
                assert received.endswith(b"ping")
            check_kept(clients, before)


def test_half_a_request_for_a_page(server: Server, link: MakeLink, service: Service) -> None:
    with listening(server) as forwarding:
        forwarding.attach(link(service.dial))
        forwarding.set_target(Problem("No Jupyter runs", ""))
        before = set(threading.enumerate())
        assert server.local_port is not None
        with silent(server.local_port, b"GET / HTTP") as clients:
            with socket.create_connection(("127.0.0.1", server.local_port), LIMIT) as client:
                client.sendall(b"GET / HTTP/1.1\r\n\r\n")
                assert b"No Jupyter runs" in read_all(client)
            check_kept(clients, before)


def listens(ends: list[type[BaseException]], seconds: float) -> Conversation[None]:
    try:
        yield Wanted(1, time.monotonic() + seconds)
    except BaseException as error:
        ends.append(type(error))
        if isinstance(error, GeneratorExit):
            raise


def test_one_ends_at_its_deadline_with_its_client_and_at_the_end() -> None:
    ends: list[type[BaseException]] = []
    talks = Conversations("GPU box")
    pairs = [socket.socketpair() for _ in range(3)]
    with ExitStack() as stack:
        for pair in pairs:
            for end in pair:
                stack.enter_context(end).setblocking(False)
        talks.begin(pairs[0][0], listens(ends, 0.01))
        eventually(lambda: ends == [TimeoutError], "the deadline")
        eventually(lambda: talks._waker is None, "the thread's end")
        pairs[1][1].close()
        talks.begin(pairs[1][0], listens(ends, LIMIT))
        talks.begin(pairs[2][0], listens(ends, LIMIT))
        eventually(lambda: talks._thread is not None, "the thread")
        talks.close(LIMIT)
        assert ends in ([TimeoutError], [TimeoutError, GeneratorExit])
        with pytest.raises(RuntimeError):
            talks.begin(pairs[0][0], listens(ends, LIMIT))
        talks.close(LIMIT)


def test_a_bug_in_one_ends_only_that(caplog: pytest.LogCaptureFixture) -> None:
    def breaks() -> Conversation[None]:
        yield Wanted(1, time.monotonic() + LIMIT)
        raise KeyError

    talks = Conversations("GPU box")
    (near, far), (other, other_far) = socket.socketpair(), socket.socketpair()
    with near, far, other, other_far:
        for end in (near, other):
            end.setblocking(False)
        far.settimeout(LIMIT)
        ends: list[type[BaseException]] = []
        talks.begin(other, listens(ends, LIMIT))
        talks.begin(near, breaks())
        far.sendall(b"x")
        with contextlib.suppress(ConnectionError):
            assert far.recv(1) == b""
        assert ends == []
        talks.close(LIMIT)
        assert ends == [GeneratorExit]
    assert "unforeseen" in caplog.text
