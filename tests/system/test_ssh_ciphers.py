"""Each cipher and each MAC with OpenSSH's sshd: commands and a carried connection, over rekeys."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.forwarding import Service
from tests.support.keys import make_key
from tests.support.sshd import Sshd
from tests.support.tunnel_kit import WAIT, Kit, entry, nothing_left
from trayconnect.config.algorithms import (
    AEAD_CIPHERS,
    CIPHERS,
    LEGACY,
    LEGACY_CIPHERS,
    LEGACY_MACS,
    MACS,
)
from trayconnect.core.endpoints import TcpEndpoint
from trayconnect.core.errors import ProblemError
from trayconnect.core.link import Client

SIZE = 3_000_000
DATA = random.Random(5).randbytes(SIZE)
UMAC = "umac-128-etm@openssh.com"
"""A MAC that we lack: a cipher that needs none must do with it."""

PAIRS = [
    *((cipher, UMAC) for cipher in AEAD_CIPHERS),
    *((cipher, MACS[0]) for cipher in (*CIPHERS, *LEGACY_CIPHERS) if cipher not in AEAD_CIPHERS),
    *(("aes128-ctr", mac) for mac in (*MACS[1:], *LEGACY_MACS)),
    *(("aes256-cbc", mac) for mac in ("hmac-sha2-256", "hmac-sha1-96")),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sshd, Path]]:
    key = make_key(tmp_path_factory.mktemp("keys"))
    with Sshd(options={"RekeyLimit": "1M"}) as sshd:
        sshd.authorize(key)
        yield sshd, key


@pytest.fixture(scope="module")
def mirror() -> Iterator[Service]:
    """Sends back what it gets, once all of it has come."""

    def talk(sock: socket.socket) -> None:
        sock.sendall(received(sock))
        sock.shutdown(socket.SHUT_WR)

    with Service(talk) as service:
        yield service


def received(sock: socket.socket) -> bytes:
    found = bytearray()
    while data := sock.recv(1 << 20):
        found += data
    return bytes(found)


def send(sock: socket.socket) -> None:
    sock.sendall(DATA)
    sock.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize(("cipher", "mac"), PAIRS)
def test_every_byte_arrives(
    tmp_path: Path, server: tuple[Sshd, Path], mirror: Service, cipher: str, mac: str
) -> None:
    sshd, key = server
    sshd.set_option("Ciphers", cipher)
    sshd.set_option("MACs", mac)
    sshd.restart()
    kit = Kit(tmp_path)
    kit.trust(sshd.known_hosts_lines())
    box = entry(sshd.port, identity_file=key, legacy=list(LEGACY))
    with nothing_left(), kit.tunnel(box) as tunnel:
        transport = tunnel._route.end
        assert transport.local_cipher == transport.remote_cipher == cipher
        assert (mac in transport.agreement()) == (mac != UMAC)
        for size in (0, 1, 100, 50_000):
            assert tunnel.execute("cat", DATA[:size], WAIT).stdout == DATA[:size]

        refused: list[ProblemError] = []
        near, far = socket.socketpair()
        with near:
            far.setblocking(False)
            near.settimeout(WAIT)
            tunnel.carry(
                Client(far, ("127.0.0.1", 1)), TcpEndpoint(*mirror.address), refused.append
            )
            sender = threading.Thread(target=send, args=(near,))
            sender.start()
            assert received(near) == DATA
            sender.join()
        assert refused == []
        assert tunnel.execute("echo there", b"", WAIT).stdout == b"there\n"
