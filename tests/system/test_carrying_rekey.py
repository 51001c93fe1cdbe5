"""Key re-exchanges under load: from both sides, with every kind of cipher, and no byte altered.

Both ends count packets and nonces in step, so one that is skipped or used twice fails at the next
packet; the far end is OpenSSH's."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.support.forwarded import (
    Forwarded,
    count_key_exchanges,
    exchange,
    forward_to,
    forwarded,
    ping,
    rekey_often,
    together,
    without_strict_kex,
)
from tests.support.forwarding import Service, echo, eventually, was_reset
from tests.support.keys import make_key
from tests.support.proxy import FaultyProxy
from tests.support.sshd import Options, Sshd
from tests.support.tunnel_kit import Kit, nothing_left
from trayconnect.config.model import JumpHost

pytestmark = pytest.mark.usefixtures("leaves_nothing")

MB = 1_000_000
GCM: Options = {"Ciphers": "aes128-gcm@openssh.com"}
CTR: Options = {"Ciphers": "aes128-ctr", "MACs": "hmac-sha2-256-etm@openssh.com"}
CTR_AND_MAC: Options = {"Ciphers": "aes256-ctr", "MACs": "hmac-sha2-512"}
CHACHA: Options = {"Ciphers": "chacha20-poly1305@openssh.com"}
CIPHERS = [
    pytest.param(GCM, id="gcm"),
    pytest.param(CTR, id="ctr-etm"),
    pytest.param(CTR_AND_MAC, id="ctr-mac"),
    pytest.param(CHACHA, id="chacha"),
]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("keys"))


@contextmanager
def over_sshd(folder: Path, key: Path, options: Options, port: int) -> Iterator[Forwarded]:
    with Sshd(options=options) as sshd:
        sshd.authorize(key)
        kit = Kit(folder)
        kit.trust(sshd.known_hosts_lines())
        server = forward_to(port, ssh_port=sshd.port, username=sshd.username, key=key)
        with nothing_left(), forwarded(kit, server) as way:
            yield way
            assert way.losses.problems == []
            assert way.refused == []


class Mirror(Service):
    """Exchanges streams with each client, whose first bytes name them and the sizes."""

    def __init__(self) -> None:
        self.done = 0
        super().__init__(self._exchange)

    def _exchange(self, sock: socket.socket) -> None:
        head = sock.recv(24, socket.MSG_WAITALL)
        seed, up, down = (int.from_bytes(head[at : at + 8]) for at in (0, 8, 16))
        exchange(sock, seed + 1000, seed, (down, up))
        self.done += 1


def client(way: Forwarded, seed: int, up: int, down: int) -> None:
    with way.dial() as sock:
        sock.sendall(b"".join(number.to_bytes(8) for number in (seed, up, down)))
        exchange(sock, seed, seed + 1000, (up, down))


def carry(way: Forwarded, mirror: Mirror, sizes: list[tuple[int, int]]) -> None:
    """All of them at once."""
    together([partial(client, way, n, *size) for n, size in enumerate(sizes)])
    eventually(lambda: mirror.done == len(sizes), "the far ends of all streams")


def test_two_hundred_megabytes(tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rekey_often(monkeypatch, size=4 * MB)
    ended = count_key_exchanges(monkeypatch)
    with (
        Mirror() as mirror,
        over_sshd(tmp_path, key, {**GCM, "RekeyLimit": "1M"}, mirror.address[1]) as way,
    ):
        carry(way, mirror, [(35 * MB, 35 * MB)] * 3)
    assert ended() > 50


@pytest.mark.long
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("options", CIPHERS)
def test_ten_gigabytes(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch, options: Options
) -> None:
    rekey_often(monkeypatch, size=50 * MB)
    ended = count_key_exchanges(monkeypatch)
    with (
        Mirror() as mirror,
        over_sshd(tmp_path, key, {**options, "RekeyLimit": "64M"}, mirror.address[1]) as way,
    ):
        carry(way, mirror, [(1700 * MB, 1700 * MB)] * 3)
    assert ended() > 100


@pytest.mark.parametrize("options", CIPHERS)
@pytest.mark.parametrize("strict", [True, False])
def test_each_cipher(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch, options: Options, strict: bool
) -> None:
    rekey_often(monkeypatch, size=MB)
    if not strict:
        without_strict_kex(monkeypatch)
    ended = count_key_exchanges(monkeypatch)
    with (
        Mirror() as mirror,
        over_sshd(tmp_path, key, {**options, "RekeyLimit": "1M"}, mirror.address[1]) as way,
    ):
        carry(way, mirror, [(5 * MB, 5 * MB), (0, 5 * MB), (5 * MB, 0)])
        assert way.tunnel._route.end.agreed_on_strict_kex is strict
    assert ended() > 10


def test_through_a_jump_host(tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packets in packets, and the keys of both change."""
    rekey_often(monkeypatch, size=2 * MB)
    ended = count_key_exchanges(monkeypatch)
    options = {**GCM, "RekeyLimit": "1M"}
    with Sshd(options=options) as gate, Sshd(options=options) as sshd, Mirror() as mirror:
        kit = Kit(tmp_path)
        for each in (gate, sshd):
            each.authorize(key)
            kit.trust(each.known_hosts_lines())
        server = forward_to(mirror.address[1], ssh_port=sshd.port, username=sshd.username, key=key)
        jump = JumpHost(host=gate.host, port=gate.port, username=gate.username)
        with forwarded(kit, server.model_copy(update={"jump_hosts": (jump,)})) as way:
            carry(way, mirror, [(10 * MB, 10 * MB)] * 2)
            assert way.losses.problems == []
    assert ended() > 20


@pytest.mark.parametrize("size", [(8 * MB, 0), (0, 8 * MB)], ids=["up", "down"])
def test_ours_alone_in_one_direction(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    """What comes counts as well as what goes."""
    rekey_often(monkeypatch, size=MB)
    ended = count_key_exchanges(monkeypatch)
    with Mirror() as mirror, over_sshd(tmp_path, key, {}, mirror.address[1]) as way:
        carry(way, mirror, [size])
    assert ended() > 2


def test_ours_by_packets(tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rekey_often(monkeypatch, packets=50)
    ended = count_key_exchanges(monkeypatch)
    with (
        Service(echo) as service,
        over_sshd(tmp_path, key, {}, service.address[1]) as way,
        way.dial() as sock,
    ):
        for _ in range(300):
            ping(sock, b"1")
    assert ended() > 4


def test_opens_and_ends_amid_key_exchanges(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short connections, while one long stream keeps the keys changing."""
    rekey_often(monkeypatch, size=MB)
    ended = count_key_exchanges(monkeypatch)
    with (
        Mirror() as mirror,
        over_sshd(tmp_path, key, {"RekeyLimit": "1M"}, mirror.address[1]) as way,
    ):
        busy = threading.Event()
        numbers = itertools.count(1)

        def many() -> None:
            while not busy.is_set():
                client(way, next(numbers), 3_000, 70_000)

        def long() -> None:
            try:
                client(way, 0, 15 * MB, 15 * MB)
            finally:
                busy.set()

        together([long, many, many, many])
    assert ended() > 10
    assert next(numbers) > 20


@pytest.mark.parametrize("options", CIPHERS)
def test_an_altered_packet_ends_the_link(tmp_path: Path, key: Path, options: Options) -> None:
    with (
        Service(echo) as service,
        Sshd(options=options) as sshd,
        FaultyProxy(sshd.host, sshd.port) as proxy,
    ):
        sshd.authorize(key)
        server = forward_to(
            service.address[1], ssh_port=proxy.port, username=sshd.username, key=key
        )
        kit = Kit(tmp_path)
        lines = sshd.known_hosts_lines()
        kit.trust([line.replace(f":{sshd.port} ", f":{proxy.port} ") for line in lines])
        with forwarded(kit, server) as way, way.dial() as sock:
            ping(sock)
            proxy.corrupt()
            sock.sendall(b"ping")
            assert was_reset(sock)
            problem = way.losses.wait()
            assert "a packet arrived damaged" in problem.title
            assert f"{problem} {problem.detail}".replace("\n", "").isprintable()
