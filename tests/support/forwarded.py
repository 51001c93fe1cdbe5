"""A forward over a tunnel, as its clients see it, and the bytes that they exchange over it."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import paramiko
import pytest

from tests.support.forwarding import LIMIT, a_server, dial, listening
from tests.support.ports import free_port
from tests.support.tunnel_kit import Kit, Losses
from trayconnect.config.model import Keepalive, Server
from trayconnect.core.errors import Problem
from trayconnect.forwarding.forwarding import LocalForwarding
from trayconnect.ssh.ssh_link import SshLink
from trayconnect.ssh.transport import packetizer
from trayconnect.ssh.transport.ssh_transport import SshTransport


def attach(forwarding: LocalForwarding, tunnel: SshLink) -> None:
    """Serve the forward's clients through the tunnel from now on."""
    forwarding.attach(tunnel)


def forward_to(
    port: int,
    *,
    host: str = "127.0.0.1",
    ssh_port: int,
    username: str = "",
    key: Path | None = None,
    keepalive: Keepalive | None = None,
) -> Server:
    """An entry with one plain forward, to `port` of the server's loopback address."""
    forward = {"name": "Far", "local_port": free_port(), "host": "127.0.0.1", "port": port}
    optional = {
        "username": username,
        "auth": {"identity_file": str(key)} if key else None,
        "keepalive": keepalive.model_dump() if keepalive else None,
    }
    return a_server(
        host=host,
        port=ssh_port,
        forwards=[forward],
        **{name: value for name, value in optional.items() if value},
    )


@dataclass
class Forwarded:
    """A forward with its tunnel."""

    server: Server
    tunnel: SshLink
    forwarding: LocalForwarding
    losses: Losses
    refused: list[Problem]

    @property
    def port(self) -> int:
        port = self.server.forwards[0].local_port
        assert port is not None
        return port

    def dial(self, *, receive_buffer: int = 0) -> socket.socket:
        """A client of the forward; every call of it is bounded."""
        if not receive_buffer:
            return dial(self.server, self.port)
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(LIMIT)
        client.connect((self.server.bind_address, self.port))
        return client


@contextlib.contextmanager
def forwarded(kit: Kit, server: Server) -> Iterator[Forwarded]:
    losses = Losses()
    refused: list[Problem] = []
    with (
        kit.tunnel(server, losses=losses) as tunnel,
        listening(server, on_refused=refused.append) as forwarding,
    ):
        attach(forwarding, tunnel)
        yield Forwarded(server, tunnel, forwarding, losses, refused)


# --- rekeys ---------------------------------------------------------------------------------------


def rekey_often(
    monkeypatch: pytest.MonkeyPatch, *, size: int = 1 << 30, packets: int = 1 << 28
) -> None:
    """Have our side exchange keys again after so many bytes or packets of one direction."""
    monkeypatch.setattr(packetizer, "REKEY_BYTES", size)
    monkeypatch.setattr(packetizer, "REKEY_PACKETS", packets)


def without_strict_kex(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have our side be one that knows no strict key exchange: the sequence numbers go on."""
    never = property(lambda _: False, lambda _, value: None)
    monkeypatch.setattr(SshTransport, "advertise_strict_kex", never, raising=False)


def count_key_exchanges(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many have ended from now on, of all transports; the first of each counts too."""
    ended = []
    real = SshTransport._parse_newkeys

    def counting(transport: SshTransport, message: paramiko.Message) -> None:
        ended.append(1)
        real(transport, message)

    monkeypatch.setattr(SshTransport, "_parse_newkeys", counting)
    return lambda: len(ended)


# --- bytes ----------------------------------------------------------------------------------------

_POOL = random.Random(12).randbytes(3_000_017)
_CHUNK = 200_003


def piece(seed: int, start: int, most: int) -> bytes:
    """Up to `most` bytes of the endless stream number `seed`, from byte `start`.

    Its period is no multiple of any packet or buffer: bytes that are lost, twice or in another
    place are not those expected there."""
    at = (start + seed * 1_000_003) % len(_POOL)
    return _POOL[at : at + most]


def send_stream(sock: socket.socket, seed: int, size: int) -> None:
    """Send the first `size` bytes of a stream."""
    start = 0
    while start < size:
        data = piece(seed, start, min(_CHUNK, size - start))
        sock.sendall(data)
        start += len(data)


def check_stream(sock: socket.socket, seed: int, size: int) -> None:
    """Receive the first `size` bytes of a stream; fails at the first wrong one."""
    start = 0
    while start < size:
        data = sock.recv(min(1 << 18, size - start))
        assert data, f"stream {seed} ends after {start} of {size} bytes"
        while data:
            expected = piece(seed, start, len(data))
            assert data.startswith(expected), f"stream {seed} is wrong after byte {start}"
            data = data[len(expected) :]
            start += len(expected)


def check_end(sock: socket.socket) -> None:
    """Nothing comes any more but the end of the stream."""
    assert sock.recv(1) == b""


def exchange(sock: socket.socket, up: int, down: int, size: tuple[int, int]) -> None:
    """Send the first of `size` bytes while the second come; then both ends."""

    def send() -> None:
        send_stream(sock, up, size[0])
        sock.shutdown(socket.SHUT_WR)

    def receive() -> None:
        check_stream(sock, down, size[1])
        check_end(sock)

    together([send, receive])


def together(jobs: Sequence[Callable[[], None]]) -> None:
    """Run them at once, each on a thread; raises what one of them raises."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        for future in [pool.submit(job) for job in jobs]:
            future.result()


def ping(sock: socket.socket, data: bytes = b"ping") -> None:
    """Assert that an echo is at the other end."""
    sock.sendall(data)
    received = b""
    while len(received) < len(data):
        more = sock.recv(len(data) - len(received))
        assert more, f"the end after {received!r}"
        received += more
    assert received == data


def resident_bytes() -> int:
    """The memory of this process (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@contextlib.contextmanager
def bounded_memory(most: int) -> Iterator[None]:
    """This process may not grow by more than `most` bytes meanwhile, nor at any time."""
    before = peak = resident_bytes()
    over = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.02):
            peak = max(peak, resident_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    peak = max(peak, resident_bytes())
    assert peak - before <= most, f"grew by {(peak - before) / 1e6:.1f} MB"
