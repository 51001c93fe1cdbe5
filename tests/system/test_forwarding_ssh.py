"""The forward over a real sshd: what the tunnel's room and this one promise each other."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.forwarding import (
    LIMIT,
    Service,
    a_server,
    answers,
    dial,
    echo,
    eventually,
    held,
    listening,
    no_leaks,
    read_all,
    tcp,
    was_reset,
)
from tests.support.ports import free_port
from tests.support.sshd import Sshd
from tests.support.tunnel_kit import Kit, Losses
from trayconnect.config.model import Server
from trayconnect.core.endpoints import TcpEndpoint
from trayconnect.core.errors import Problem
from trayconnect.forwarding import arrivals


@pytest.fixture
def kit(tmp_path: Path, sshd: Sshd) -> Iterator[Kit]:
    made = Kit(tmp_path)
    made.trust(sshd.known_hosts_lines())
    with no_leaks():
        yield made


def entry(sshd: Sshd, folder: Path, port: int) -> Server:
    return a_server(
        host=sshd.host,
        port=sshd.port,
        username=sshd.username,
        auth={"identity_file": str(folder / "id_ed25519")},
        jupyter={"host": "127.0.0.1", "port": port},
    )


def port_of(service: Service) -> int:
    return int(service.address[1])


def test_half_close_and_much_data_go_through(kit: Kit, sshd: Sshd, tmp_path: Path) -> None:
    payload = bytes(range(256)) * 40_000

    def reverse(sock: socket.socket) -> None:
        sock.sendall(read_all(sock)[::-1])

    with Service(reverse) as service:
        server = entry(sshd, tmp_path, port_of(service))
        with kit.tunnel(server) as tunnel, listening(server) as forwarding:
            forwarding.attach(tunnel)
            with dial(server) as client:
                sender = threading.Thread(target=client.sendall, args=(payload,))
                sender.start()
                sender.join(LIMIT)
                client.shutdown(socket.SHUT_WR)
                assert read_all(client) == payload[::-1]


def test_a_killed_session_resets_its_transfers_and_the_next_tunnel_serves_who_waits(
    kit: Kit, sshd: Sshd, tmp_path: Path
) -> None:
    losses = Losses()
    with Service(echo) as service:
        server = entry(sshd, tmp_path, port_of(service))
        with listening(server) as forwarding:
            with kit.tunnel(server, losses=losses) as first, dial(server) as client:
                forwarding.attach(first)
                client.sendall(b"ping")
                assert client.recv(4) == b"ping"
                sshd.kill_sessions()
                assert was_reset(client)  # half a page is not taken for a whole one
                losses.wait()
                forwarding.detach()
            with dial(server) as waiting:
                waiting.sendall(b"still here")
                held(forwarding, 1)
                with kit.tunnel(server) as second:
                    forwarding.attach(second)
                    assert waiting.recv(100) == b"still here"


def test_no_client_is_lost_while_links_come_and_go(kit: Kit, sshd: Sshd, tmp_path: Path) -> None:
    """Each is answered, or reset because its link had opened a channel for it."""
    stop = threading.Event()
    told: list[bytes] = []

    def ask(server: Server) -> None:
        while not stop.is_set():
            with dial(server) as client:
                try:
                    client.sendall(b"ping")
                    told.append(client.recv(4))
                except ConnectionError:
                    told.append(b"reset")

    with Service(echo) as service:
        server = entry(sshd, tmp_path, port_of(service))
        with listening(server) as forwarding:
            clients = [threading.Thread(target=ask, args=(server,)) for _ in range(6)]
            for client in clients:
                client.start()
            for number in range(8):
                losses = Losses()
                answered = told.count(b"ping")
                with kit.tunnel(server, losses=losses) as tunnel:
                    forwarding.attach(tunnel)
                    eventually(lambda n=answered: told.count(b"ping") > n + 20, "answers")  # type: ignore[misc]
                    if number == 7:
                        stop.set()
                        for client in clients:
                            client.join(LIMIT)
                            assert not client.is_alive()
                    else:
                        sshd.kill_sessions()
                        losses.wait()
                    forwarding.detach()
    assert set(told) <= {b"ping", b"reset"}


def test_connections_of_a_remote_forward_count_until_they_end(
    kit: Kit, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "INCOMING_LIMIT", 2)
    with Service(echo) as service:
        server = entry(sshd, tmp_path, port_of(service))
        with kit.tunnel(server) as tunnel, listening(server) as forwarding:
            forwarding.attach(tunnel)
            ports: list[int | Problem] = []
            tunnel.listen(
                TcpEndpoint("localhost", 0),
                lambda incoming: forwarding.take(incoming, TcpEndpoint(*service.address)),
                ports.append,
            )
            (port,) = eventually(lambda: ports, "the listener")
            assert isinstance(port, int)
            with tcp(port) as first, tcp(port) as second:
                for client in (first, second):
                    client.sendall(b"ping")
                    assert client.recv(4) == b"ping"
                with tcp(port) as third:
                    assert third.recv(4) == b""
            eventually(lambda: not forwarding._arrivals._open, "the end of both")
            answers(tcp(port))
        eventually(lambda: not forwarding._arrivals._open, "the end of the last")


def test_nothing_listens_there(kit: Kit, sshd: Sshd, tmp_path: Path) -> None:
    refusals: list[Problem] = []
    port = free_port()
    server = entry(sshd, tmp_path, port)
    with kit.tunnel(server) as tunnel, listening(server, on_refused=refusals.append) as forwarding:
        forwarding.attach(tunnel)
        with dial(server) as client:
            assert was_reset(client)
        eventually(lambda: refusals, "the reason")
    assert str(port) in refusals[0].title
