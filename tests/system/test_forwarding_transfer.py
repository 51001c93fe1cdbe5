"""Much data through the forward, whole."""

from __future__ import annotations

import hashlib
import random
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.support.carrier import MakeLink
from tests.support.forwarding import LIMIT, Service, a_server, dial, listening

pytestmark = pytest.mark.usefixtures("leaves_nothing")

SIZE = 50_000_000
POOL = random.Random(7).randbytes(1 << 20)


def chunks(seed: int) -> Iterator[memoryview]:
    """SIZE bytes in pieces of 1 byte to 300 KB."""
    dice = random.Random(seed)
    left = SIZE
    while left:
        size = min(left, dice.choice((1, 100, 5_000, 70_000, 300_000)))
        start = dice.randrange(len(POOL) - size)
        left -= size
        yield memoryview(POOL)[start : start + size]


def digest(seed: int) -> str:
    whole = hashlib.sha256()
    for chunk in chunks(seed):
        whole.update(chunk)
    return whole.hexdigest()


def send(sock: socket.socket, seed: int) -> None:
    for chunk in chunks(seed):
        sock.sendall(chunk)
    sock.shutdown(socket.SHUT_WR)


def receive(sock: socket.socket, seed: int) -> str:
    dice = random.Random(seed)
    whole = hashlib.sha256()
    while data := sock.recv(dice.choice((10, 3_000, 100_000, 500_000))):
        whole.update(data)
    return whole.hexdigest()


@pytest.mark.parametrize("streams", [1, 3])
def test_fifty_megabytes_both_ways_at_once(streams: int, link: MakeLink) -> None:
    arrived: list[str] = []

    def talk(sock: socket.socket) -> None:
        sender = threading.Thread(target=send, args=(sock, 1))
        sender.start()
        arrived.append(receive(sock, 2))
        sender.join()

    server = a_server()
    with Service(talk) as service, listening(server) as forwarding:
        forwarding.attach(link(service.dial))
        clients = [dial(server) for _ in range(streams)]
        senders = [threading.Thread(target=send, args=(each, 3)) for each in clients]
        for sender in senders:
            sender.start()
        got = [receive(each, 4) for each in clients]
        for sender, client in zip(senders, clients, strict=True):
            sender.join(LIMIT)
            assert not sender.is_alive()
            client.close()
        assert got == [digest(1)] * streams
    assert arrived == [digest(3)] * streams
