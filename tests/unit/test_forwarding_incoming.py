"""Connections of a remote forward, and forwards of UNIX sockets, without SSH."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.carrier import MakeLink, TcpCarrier
from tests.support.forwarding import (
    LIMIT,
    Service,
    a_server,
    echo,
    eventually,
    held,
    listening,
    open_now,
    read_all,
    refuse,
)
from tests.support.systems import resets_sockets
from trayconnect.core.endpoints import TcpEndpoint, UnixEndpoint
from trayconnect.forwarding import arrivals
from trayconnect.forwarding.forwarding import LocalForwarding

pytestmark = pytest.mark.usefixtures("leaves_nothing")


@pytest.fixture
def carrier(link: MakeLink) -> TcpCarrier:
    return link(refuse)


@pytest.fixture
def forwarding(carrier: TcpCarrier) -> Iterator[LocalForwarding]:
    with listening(a_server()) as made:
        made.attach(carrier)
        yield made


class Arrival:
    """An `Incoming` over `carrier`, whose far end, the stranger at the server, is `far`."""

    origin = "198.51.100.7:1234"

    def __init__(self, carrier: TcpCarrier) -> None:
        self.far, self._near = socket.socketpair()
        self.far.settimeout(LIMIT)
        self._carrier = carrier
        self.refusals: list[tuple[str, bool]] = []
        self.answered = threading.Event()

    def accept(self, sock: socket.socket, on_ended: Callable[[], None] = lambda: None) -> None:
        self.answered.set()
        if not self._carrier.relay(sock, self._near, on_ended=on_ended):
            self._near.close()
            raise ConnectionResetError("the tunnel is gone")

    def refuse(self, reason: str, *, busy: bool = False) -> None:
        self._near.close()
        self.refusals.append((reason, busy))
        self.answered.set()

    def close(self) -> None:
        self.far.close()


@pytest.fixture
def arrival(carrier: TcpCarrier) -> Iterator[Arrival]:
    made = Arrival(carrier)
    yield made
    made.close()


def test_it_is_carried_to_the_target_here(
    forwarding: LocalForwarding, carrier: TcpCarrier, arrival: Arrival
) -> None:
    with Service(echo) as service:
        forwarding.take(arrival, TcpEndpoint(*service.address))
        arrival.far.sendall(b"ping")
        assert arrival.far.recv(4) == b"ping"
        arrival.far.shutdown(socket.SHUT_WR)
        assert read_all(arrival.far) == b""
    open_now(carrier, 0)


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
    forwarding: LocalForwarding, carrier: TcpCarrier, arrival: Arrival, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    forwarding.take(arrival, TcpEndpoint("127.0.0.1", port))
    assert arrival.answered.wait(LIMIT)
    other = Arrival(carrier)
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


def test_a_tunnel_that_is_gone_leaves_nothing(
    forwarding: LocalForwarding, carrier: TcpCarrier, arrival: Arrival
) -> None:
    carrier.end()
    with Service(echo) as service:
        forwarding.take(arrival, TcpEndpoint(*service.address))
        assert arrival.answered.wait(LIMIT)


@resets_sockets
def test_a_server_cannot_open_them_without_end(
    forwarding: LocalForwarding, carrier: TcpCarrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are open count, and a connect that fails does no more."""
    monkeypatch.setattr(arrivals, "INCOMING_LIMIT", 3)
    with Service(echo) as service, socket.create_server(("127.0.0.1", 0)) as closed:
        target, nobody = TcpEndpoint(*service.address), TcpEndpoint(*closed.getsockname())
        closed.close()
        for _ in range(5):
            forwarding.take(failing := Arrival(carrier), nobody)
            assert failing.answered.wait(LIMIT)
            failing.close()
        eventually(lambda: not forwarding._arrivals._open, "the end of the connects")
        taken = [Arrival(carrier) for _ in range(5)]
        for each in taken:
            forwarding.take(each, target)
        too_many = [("too many connections", True)]
        assert [each.refusals for each in taken] == [[], [], [], too_many, too_many]
        for each in taken[:3]:
            each.far.sendall(b"ping")
            assert each.far.recv(4) == b"ping"
        forwarding.take(one_more := Arrival(carrier), target)
        assert one_more.refusals == too_many
        for each in taken[:3]:
            each.close()
        eventually(lambda: not forwarding._arrivals._open, "the end of the connections")
        later = Arrival(carrier)
        forwarding.take(later, target)
        later.far.sendall(b"ping")
        assert later.far.recv(4) == b"ping"
    for each in (*taken, one_more, later):
        each.close()


def test_a_local_socket_leads_to_where_the_file_says(tmp_path: Path, link: MakeLink) -> None:
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
            first, second = link(service.dial), link(service.dial)
            forwarding.attach(first)
            assert client.recv(4) == b"ping"
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b""
        assert service.asked == [UnixEndpoint("/run/far")]
        with socket.socket(socket.AF_UNIX) as client:
            client.bind(str(tmp_path / "a client may have a name too"))
            client.connect(str(path))
            client.sendall(b"ping")
            assert client.recv(4) == b"ping"
            first.end()
            assert client.recv(1) == b""
            forwarding.detach()
        with socket.socket(socket.AF_UNIX) as leaves:
            leaves.connect(str(path))
            held(forwarding, 1)
        forwarding.attach(second)
        held(forwarding, 0)
        open_now(second, 0)
    assert not path.exists()
