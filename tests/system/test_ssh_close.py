"""A server that ends its channels with a CLOSE and no EOF, as those written in Go do (RFC 4254
section 5.3): all that it sent arrives, and then an end, not a reset."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pytest

from tests.support.asyncssh_server import AsyncsshServer
from tests.support.carrier import Plain
from tests.support.forwarding import (
    LIMIT,
    a_server,
    dial,
    eventually,
    listening,
    was_reset,
)
from tests.support.tunnel_kit import Kit, User, entry, nothing_left, says
from trayconnect.config.model import Server
from trayconnect.core.endpoints import TcpEndpoint
from trayconnect.core.errors import ProblemError
from trayconnect.ssh.ssh_link import SshLink
from trayconnect.ssh.transport import carried

SIZE = 2_000_000
"""Fits into the window of a channel, so that the CLOSE comes before anything is read."""
DATA = random.Random(9).randbytes(SIZE)


class Far:
    """What the server's channels lead to; chosen by the first line that the client sends."""

    def __init__(self) -> None:
        self.got = b""

    async def carry(
        self, reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes]
    ) -> None:
        order = (await reader.readline()).split()
        if order[0] == b"send":
            writer.write(DATA * int(order[1]))
        elif order[0] == b"exchange":
            writer.write(DATA)
            self.got = await reader.readexactly(SIZE)
        elif order[0] == b"stop":
            writer.write(DATA[:1000])
            await asyncio.sleep(3600)
        writer.close()


async def command(process: asyncssh.SSHServerProcess[bytes]) -> None:
    assert process.command is not None
    match process.command.split():
        case ["status", status]:
            process.stdout.write(DATA[:900_000])
            process.stderr.write(DATA[:100_000])
            process.exit(int(status))
        case ["none"]:
            process.stdout.write(DATA[:900_000])
            process.close()
        case ["cut"]:
            process.stdout.write(b"half of it")
            await process.stdout.drain()
            process.channel.get_connection().abort()


@pytest.fixture(scope="module")
def far() -> Far:
    return Far()


@pytest.fixture(scope="module")
def server(far: Far) -> Iterator[AsyncsshServer]:
    with AsyncsshServer(
        carry=far.carry, listens=True, process_factory=command, encoding=None
    ) as running:
        yield running


@pytest.fixture
def tunnel(server: AsyncsshServer, tmp_path: Path) -> Iterator[SshLink]:
    kit = Kit(tmp_path)
    kit.trust([server.known_hosts_line])
    box = entry(server.port, username=server.username)
    with nothing_left(), kit.tunnel(box, User(says(server.password))) as made:
        yield made


@dataclass
class Local:
    box: Server
    tunnel: SshLink

    def ask(self, order: bytes) -> socket.socket:
        client = dial(self.box)
        client.sendall(order + b"\n")
        return client

    def is_idle(self) -> bool:
        return self.tunnel.traffic.connections == 0


@pytest.fixture(params=["port", "socket"])
def local(request: pytest.FixtureRequest, tunnel: SshLink) -> Iterator[Local]:
    there = {"port": 8888} if request.param == "port" else {"socket": "/run/jupyter.sock"}
    box = a_server(jupyter=there)
    with listening(box) as forwarding:
        forwarding.attach(Plain(tunnel))
        yield Local(box, tunnel)


def read_slowly(client: socket.socket) -> bytes:
    """In pieces of all sizes. Raises where it ends with a reset."""
    dice = random.Random(1)
    pieces = []
    while data := client.recv(dice.choice((1, 700, 20_000, 300_000))):
        pieces.append(data)
    return b"".join(pieces)


@pytest.mark.parametrize("times", [1, 3])
def test_all_that_was_sent_arrives_then_the_end(local: Local, times: int) -> None:
    for _ in range(10):
        with local.ask(b"send %d" % times) as client:
            assert read_slowly(client) == DATA * times
    eventually(local.is_idle, "the end of all connections")


def test_all_arrives_at_a_client_that_goes_on_sending(local: Local, far: Far) -> None:
    for _ in range(5):
        with local.ask(b"exchange") as client:
            stop = threading.Event()
            sender = threading.Thread(target=keep_sending, args=(client, stop))
            sender.start()
            assert client.recv(1) == DATA[:1]
            eventually(lambda: far.got == DATA, "what the server was to get")
            far.got = b""
            assert DATA[:1] + read_slowly(client) == DATA
            stop.set()
            sender.join(LIMIT)
            assert not sender.is_alive()


def keep_sending(client: socket.socket, stop: threading.Event) -> None:
    client.sendall(DATA)
    while not stop.wait(0.001):
        client.sendall(b"and more")


def test_a_client_that_never_closes_is_let_go(
    local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carried, "LINGER", 0.1)
    with local.ask(b"send 1") as client:
        assert read_slowly(client) == DATA
        eventually(local.is_idle, "the end of the connection")


def test_the_end_of_the_transport_cuts_off(local: Local, server: AsyncsshServer) -> None:
    with local.ask(b"stop") as client:
        assert client.recv(1000, socket.MSG_WAITALL) == DATA[:1000]
        server.run(drop(server.connections[-1]))
        assert was_reset(client)


async def drop(connection: asyncssh.SSHServerConnection) -> None:
    connection.abort()


@pytest.mark.parametrize(("order", "status"), [("status 0", 0), ("status 3", 3), ("none", -1)])
def test_a_command_has_run(tunnel: SshLink, order: str, status: int) -> None:
    for _ in range(5):
        completed = tunnel.execute(order, b"", LIMIT)
        assert completed.status == status
        assert completed.stdout == DATA[:900_000]
        assert completed.stderr == (b"" if order == "none" else DATA[:100_000])


def test_a_command_whose_transport_ends_is_lost(tunnel: SshLink) -> None:
    with pytest.raises(ProblemError, match="was lost"):
        tunnel.execute("cut", b"", LIMIT)


def test_a_remote_forward_gets_all(tunnel: SshLink, server: AsyncsshServer) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as service,
        listening(a_server()) as forwarding,
    ):
        service.settimeout(LIMIT)
        forwarding.attach(tunnel)
        answered = threading.Event()
        tunnel.listen(
            TcpEndpoint("localhost", 9000),
            lambda incoming: forwarding.take(
                incoming, TcpEndpoint("127.0.0.1", service.getsockname()[1])
            ),
            lambda _answer: answered.set(),
        )
        assert answered.wait(LIMIT)
        for _ in range(10):
            server.run(send(server.connections[-1]))
            client, _ = service.accept()
            with client:
                client.settimeout(LIMIT)
                assert read_slowly(client) == DATA


async def send(connection: asyncssh.SSHServerConnection) -> None:
    _, writer = await connection.open_connection("localhost", 9000, encoding=None)
    writer.write(DATA)
    writer.close()
