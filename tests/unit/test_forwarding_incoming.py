"""Connections of a remote forward, and forwards of UNIX sockets, without SSH."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.forwarding import (
    LIMIT,
    Service,
    TcpStream,
    a_server,
    echo,
    held,
    listening,
    open_now,
    read_all,
    refuse,
    was_reset,
)
from tests.support.systems import resets_sockets
from trayconnect.core.endpoints import TcpEndpoint, UnixEndpoint
from trayconnect.forwarding import connections
from trayconnect.forwarding.forwarding import LocalForwarding

pytestmark = pytest.mark.usefixtures("leaves_nothing")


@pytest.fixture
def forwarding() -> Iterator[LocalForwarding]:
    with listening(a_server()) as made:
        made.attach(refuse)
        yield made


class Arrival:
    """An `Incoming` whose far end, the stranger at the server, is `far`."""

    origin = "198.51.100.7:1234"

    def __init__(self, *, is_gone: bool = False) -> None:
        self.far, self._near = socket.socketpair()
        self.far.settimeout(LIMIT)
        self._is_gone = is_gone
        self.refusals: list[tuple[str, bool]] = []
        self.answered = threading.Event()

    def accept(self) -> TcpStream:
        self.answered.set()
        if self._is_gone:
            raise ConnectionResetError("the tunnel is gone")
        return TcpStream(self._near)

    def refuse(self, reason: str, *, busy: bool = False) -> None:
        self.refusals.append((reason, busy))
        self.answered.set()

    def close(self) -> None:
        self.far.close()
        self._near.close()


@pytest.fixture
def arrival() -> Iterator[Arrival]:
    made = Arrival()
    yield made
    made.close()


def test_it_is_carried_to_the_target_here(forwarding: LocalForwarding, arrival: Arrival) -> None:
    with Service(echo) as service:
        forwarding.take(arrival, TcpEndpoint(*service.address))
        arrival.far.sendall(b"ping")
        assert arrival.far.recv(4) == b"ping"
        arrival.far.shutdown(socket.SHUT_WR)
        assert read_all(arrival.far) == b""
    open_now(forwarding, 0)


def test_or_to_a_unix_socket(forwarding: LocalForwarding, arrival: Arrival, tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("there are no UNIX sockets")
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(str(tmp_path / "s"))
        service.listen()
        forwarding.take(arrival, UnixEndpoint(str(tmp_path / "s")))
        service.settimeout(LIMIT)
        accepted, _ = service.accept()
        with accepted:
            arrival.far.sendall(b"ping")
            assert accepted.recv(4) == b"ping"


def test_when_nothing_answers_here_it_is_refused(
    forwarding: LocalForwarding, arrival: Arrival, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    forwarding.take(arrival, TcpEndpoint("127.0.0.1", port))
    assert arrival.answered.wait(LIMIT)
    other = Arrival()
    forwarding.take(other, UnixEndpoint(str(tmp_path / "nobody")))
    assert other.answered.wait(LIMIT)
    other.close()
    for refusals in (arrival.refusals, other.refusals):
        ((reason, busy),) = refusals
        assert reason.startswith("connect failed: ")
        assert not busy


def test_without_a_tunnel_it_is_refused(forwarding: LocalForwarding, arrival: Arrival) -> None:
    forwarding.detach()
    forwarding.take(arrival, TcpEndpoint("127.0.0.1", 1))
    assert arrival.refusals == [("going away", True)]


def test_the_end_of_the_tunnel_ends_it(forwarding: LocalForwarding, arrival: Arrival) -> None:
    ended = threading.Event()

    def wait(sock: socket.socket) -> None:
        assert was_reset(sock)
        ended.set()

    with Service(wait) as service:
        forwarding.take(arrival, TcpEndpoint(*service.address))
        open_now(forwarding, 1)
        forwarding.detach()
        assert arrival.far.recv(1) == b""
        assert ended.wait(LIMIT)


def test_a_tunnel_that_is_gone_leaves_nothing(forwarding: LocalForwarding) -> None:
    gone = Arrival(is_gone=True)
    with Service(echo) as service:
        forwarding.take(gone, TcpEndpoint(*service.address))
        assert gone.answered.wait(LIMIT)
    gone.close()


@resets_sockets
def test_a_server_cannot_open_them_without_end(
    forwarding: LocalForwarding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "INCOMING_LIMIT", 3)
    with Service(echo) as service:
        target = TcpEndpoint(*service.address)
        arrivals = [Arrival() for _ in range(5)]
        for each in arrivals:
            forwarding.take(each, target)
        assert [each.refusals for each in arrivals] == [[]] * 3 + [
            [("too many connections", True)]
        ] * 2
        for each in arrivals[:3]:
            each.far.sendall(b"ping")
            assert each.far.recv(4) == b"ping"
            each.close()
        open_now(forwarding, 0)
        later = Arrival()
        forwarding.take(later, target)
        later.far.sendall(b"ping")
        assert later.far.recv(4) == b"ping"
    for each in (*arrivals, later):
        each.close()


def test_a_local_socket_leads_to_where_the_file_says(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("there are no UNIX sockets")
    path = tmp_path / "s"
    board = {"name": "x", "local_socket": str(path), "remote_socket": "/run/far"}
    with Service(echo) as service, listening(a_server(forwards=[board])) as forwarding:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(LIMIT)
            client.connect(str(path))
            client.sendall(b"ping")
            held(forwarding, 1)
            forwarding.attach(service.open_channel)
            assert client.recv(4) == b"ping"
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b""
        assert service.asked == [UnixEndpoint("/run/far")]
        with socket.socket(socket.AF_UNIX) as client:
            client.bind(str(tmp_path / "a client may have a name too"))
            client.connect(str(path))
            client.sendall(b"ping")
            assert client.recv(4) == b"ping"
            forwarding.detach()
            assert client.recv(1) == b""
        with socket.socket(socket.AF_UNIX) as leaves:
            leaves.connect(str(path))
            held(forwarding, 1)
        forwarding.attach(service.open_channel)
        held(forwarding, 0)
        open_now(forwarding, 0)
    assert not path.exists()
