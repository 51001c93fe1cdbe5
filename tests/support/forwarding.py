"""Peers for the forward's tests: a far end over plain TCP in the place of SSH."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from tests.support.ports import free_port
from tests.support.scoped import Scoped
from tests.support.threads import wait_for_threads
from tests.support.waiting import end_accept
from trayconnect.config.model import Server
from trayconnect.core.endpoints import Endpoint
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.link import Carrier
from trayconnect.forwarding.conversations import Conversation
from trayconnect.forwarding.forwarding import LocalForwarding, listen

LIMIT = 90.0
"""Seconds that anything may take on a busy machine before a test gives up."""

T = TypeVar("T")


def finish(client: socket.socket, conversation: Conversation[T]) -> T:
    """The result of a conversation, which is had here."""
    try:
        wanted = next(conversation)
        while True:
            client.settimeout(max(0.001, wanted.deadline - time.monotonic()))
            try:
                data = client.recv(wanted.size)
            except OSError as error:
                wanted = conversation.throw(error)
            else:
                wanted = conversation.send(data)
    except StopIteration as end:
        result: T = end.value
        return result


def eventually(condition: Callable[[], T], what: str) -> T:
    """The first true value of `condition`."""
    deadline = time.monotonic() + LIMIT
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.005)
    return value


def a_server(**settings: Any) -> Server:
    """An entry of the file with a free local port; the target is never looked up."""
    jupyter = {"host": "far", "port": 8888}
    defaults = {"name": "box", "host": "gate", "local_port": free_port(), "jupyter": jupyter}
    return Server.model_validate({**defaults, **settings})


@contextlib.contextmanager
def listening(server: Server, **options: Any) -> Iterator[LocalForwarding]:
    forwarding = listen(server, **options)
    try:
        yield forwarding
    finally:
        forwarding.close()


def dial(server: Server, port: int | None = None) -> socket.socket:
    """A client of the local port; every call of it is bounded. A reset shows when it reads, though
    it may come within the connect."""
    try:
        return socket.create_connection((server.bind_address, port or server.local_port), LIMIT)
    except ConnectionResetError:
        return socket.socket()


def held(forwarding: LocalForwarding, number: int) -> None:
    """Wait until that many connections wait for the link."""
    eventually(lambda: len(forwarding._pending) == number, f"{number} held connections")


def open_now(carrier: Carrier, number: int) -> None:
    """Wait until that many connections are open."""
    eventually(lambda: carrier.traffic.connections == number, f"{number} open connections")


def read_all(sock: socket.socket) -> bytes:
    """Everything up to the end of the stream."""
    chunks = []
    while chunk := sock.recv(65536):
        chunks.append(chunk)
    return b"".join(chunks)


def fill(sock: socket.socket) -> None:
    """Send until nobody takes any more."""
    sock.settimeout(0.2)
    with contextlib.suppress(TimeoutError):
        while True:
            sock.send(bytes(65536))
    sock.settimeout(LIMIT)


def was_reset(sock: socket.socket) -> bool:
    """Whether the connection ends with a reset, whatever came before it."""
    try:
        read_all(sock)
    except TimeoutError:
        raise
    except OSError:  # also of one that is not connected: see `dial`
        return True
    return False


class TcpStream:
    """A `ByteStream` over a TCP connection."""

    is_over = False

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def recv(self, size: int) -> bytes:
        return self._sock.recv(size)

    def sendall(self, data: bytes | memoryview) -> None:
        self._sock.sendall(data)

    def shutdown_write(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)  # wakes; closing alone would not
        self._sock.close()


class Service(Scoped):
    """What listens behind the tunnel: runs `talk` on a thread for each connection.

    `dial` is the way to it; it keeps the origins in the order of the calls."""

    def __init__(self, talk: Callable[[socket.socket], None]) -> None:
        self._talk = talk
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.address: tuple[str, int] = self._listening.getsockname()
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self.asked: list[Endpoint] = []
        self.origins: list[tuple[str, int]] = []
        self._ending = threading.Event()
        self._acceptor = threading.Thread(target=self._accept, name="service")
        self._acceptor.start()

    def dial(self, target: Endpoint, origin: tuple[str, int]) -> socket.socket:
        self.asked.append(target)
        self.origins.append(origin)
        return socket.create_connection(self.address)

    def close(self) -> None:
        self._ending.set()
        end_accept(self._listening)
        self._acceptor.join(LIMIT)
        self._listening.close()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(LIMIT)
            assert not thread.is_alive()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listening.accept()
                if self._ending.is_set():
                    sock.close()
                    return
                self._open.append(sock)
                thread = threading.Thread(target=self._serve, args=(sock,), name="service talk")
                self._threads.append(thread)
                thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            self._talk(sock)


def echo(sock: socket.socket) -> None:
    while data := sock.recv(65536):
        sock.sendall(data)


def refuse(target: Endpoint, origin: tuple[str, int]) -> socket.socket:
    """A `Dial` behind which nothing listens."""
    title = f"Nothing answers on {target} at the server"
    raise ProblemError(Problem(title, "Start it.", Recovery.RETRY))


def descriptors() -> int:
    """How many this process has open; 0 where there is no /proc."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if sys.platform == "linux" else 0


@contextlib.contextmanager
def no_leaks() -> Iterator[None]:
    """What is started inside is ended inside."""
    before, threads = descriptors(), set(threading.enumerate())
    yield
    wait_for_threads(threads)
    eventually(lambda: descriptors() <= before, f"{descriptors() - before} descriptors to close")


def tcp(port: int) -> socket.socket:
    """A connection to a local port."""
    return socket.create_connection(("127.0.0.1", port), LIMIT)


def answers(client: socket.socket) -> None:
    """Assert that an `echo` is at the other end."""
    with client:
        client.sendall(b"ping")
        data = b""
        while len(data) < 4:
            more = client.recv(4 - len(data))
            assert more, data
            data += more
        assert data == b"ping"


def by_socks(port: int, target: tuple[str, int]) -> socket.socket:
    """A connection to `target` by the SOCKS proxy on a local port."""
    client = tcp(port)
    name = target[0].encode()
    client.sendall(b"\5\1\0\5\1\0\3" + bytes((len(name),)) + name + target[1].to_bytes(2))
    assert client.recv(2) == b"\5\0"
    assert client.recv(10) == b"\5\0\0\1" + bytes(6)
    return client
