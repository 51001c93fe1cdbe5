"""Many connections over one real sshd: ends, stalls, resets and a server that freezes; and what
they cost."""

from __future__ import annotations

import contextlib
import queue
import resource
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.forwarded import (
    Forwarded,
    bounded_memory,
    check_end,
    check_stream,
    forward_to,
    forwarded,
    ping,
    resident_bytes,
    send_stream,
    together,
)
from tests.support.forwarding import LIMIT, Service, echo, eventually, tcp, was_reset
from tests.support.keys import make_key
from tests.support.scoped import Scoped
from tests.support.sshd import Sshd
from tests.support.threads import our_threads
from tests.support.tunnel_kit import Kit
from tests.support.waiting import end_accept
from trayconnect.config.model import Keepalive
from trayconnect.core.endpoints import TcpEndpoint
from trayconnect.core.errors import Problem
from trayconnect.core.sockets import set_reset_on_close

pytestmark = pytest.mark.usefixtures("leaves_nothing")

MB = 1_000_000
MOST_THREADS = 3
"""Of ours, for one tunnel, however many its connections are."""
DESCRIPTORS = 6000
"""For a thousand connections: two ends here, and two of the service."""


class Echoes(Scoped):
    """An echo for any number of clients, on one thread."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listening.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="echoes")

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        end_accept(self._listening)
        self._thread.join(10)
        for key in tuple(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            for key, _ in self._selector.select():
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                if sock is self._listening:
                    with contextlib.suppress(OSError):
                        self._selector.register(sock.accept()[0], selectors.EVENT_READ)
                    continue
                try:
                    data = sock.recv(1000)
                    sock.sendall(data)
                except OSError:
                    data = b""
                if not data:
                    self._selector.unregister(sock)
                    sock.close()


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def sshd(key: Path) -> Iterator[Sshd]:
    with Sshd(options={"LogLevel": "ERROR"}) as running:
        running.authorize(key)
        yield running


@pytest.fixture
def connect(
    tmp_path: Path, sshd: Sshd, key: Path
) -> Callable[[int], contextlib.AbstractContextManager[Forwarded]]:
    """A forward to a port."""
    kit = Kit(tmp_path)
    kit.trust(sshd.known_hosts_lines())

    @contextlib.contextmanager
    def to(port: int) -> Iterator[Forwarded]:
        never = Keepalive(interval=3600, count_max=1)
        server = forward_to(
            port, ssh_port=sshd.port, username=sshd.username, key=key, keepalive=never
        )
        with forwarded(kit, server) as way:
            yield way

    return to


Connect = Callable[[int], contextlib.AbstractContextManager[Forwarded]]


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < DESCRIPTORS:
        pytest.skip(f"the system allows {hard} descriptors, of {DESCRIPTORS}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def is_over(way: Forwarded) -> None:
    """No connection is open any more, and the link is."""
    eventually(lambda: way.tunnel.traffic.connections == 0, "the end of all connections")
    assert way.losses.problems == []


# --- ends and stalls ------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["client", "server"])
def test_one_side_ends_and_the_other_goes_on(connect: Connect, first: str) -> None:
    size = 5 * MB

    def speak(sock: socket.socket, seed: int) -> None:
        send_stream(sock, seed, size)
        sock.shutdown(socket.SHUT_WR)

    def listen(sock: socket.socket, seed: int) -> None:
        check_stream(sock, seed, size)
        check_end(sock)

    def talk(sock: socket.socket) -> None:
        if first == "client":
            listen(sock, 1)
            speak(sock, 2)
        else:
            speak(sock, 2)
            listen(sock, 1)
            done.set()

    done = threading.Event()
    with Service(talk) as service, connect(service.address[1]) as way:
        with way.dial() as client:
            if first == "client":
                speak(client, 1)
                listen(client, 2)
            else:
                listen(client, 2)
                speak(client, 1)
                eventually(done.is_set, "all at the far end")
        is_over(way)


@pytest.mark.parametrize("what", ["down", "up"])
def test_stalled_ones_beside_a_fast_one(connect: Connect, what: str) -> None:
    """Each holds its window at most, even one that was fast before."""
    size, stalled = 30 * MB, 8
    gate, done = threading.Event(), threading.Event()

    def talk(sock: socket.socket) -> None:
        kind = sock.recv(1)
        if kind == b"s" and what == "down":
            send_stream(sock, 1, 10**12)  # until it ends
        elif kind == b"s":
            check_stream(sock, 1, 4 * MB)
            gate.wait()
        else:
            together([lambda: check_stream(sock, 2, size), lambda: send_stream(sock, 3, size)])
            done.set()

    def stall(client: socket.socket) -> None:
        client.sendall(b"s")
        if what == "down":
            check_stream(client, 1, 4 * MB)
            return
        client.settimeout(1.0)
        with contextlib.suppress(TimeoutError):
            send_stream(client, 1, 10**12)

    with (
        Service(talk) as service,
        connect(service.address[1]) as way,
        contextlib.ExitStack() as clients,
        bounded_memory(32 << 20),
    ):
        together([lambda: stall(clients.enter_context(way.dial())) for _ in range(stalled)])
        with way.dial() as fast:
            fast.sendall(b"f")
            together([lambda: send_stream(fast, 2, size), lambda: check_stream(fast, 3, size)])
            eventually(done.is_set, "all at the far end")
        assert way.tunnel.traffic.connections >= stalled
        assert way.losses.problems == []
        gate.set()


# --- many -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("many_descriptors")
def test_a_thousand_open_connections(connect: Connect) -> None:
    with Echoes() as echoes, connect(echoes.port) as way, contextlib.ExitStack() as open_:
        clients = [open_.enter_context(way.dial()) for _ in range(1000)]
        for number in (1, 2):
            for client in reversed(clients):
                client.sendall(bytes([number]))
            for client in clients:
                assert client.recv(100) == bytes([number])
            assert way.tunnel.traffic.connections == 1000
            assert len(our_threads()) <= MOST_THREADS
        open_.close()
        is_over(way)
        with way.dial() as client:
            ping(client)


def wake_ups() -> int:
    """How often our threads have waited for something and got it (Linux)."""
    total = 0
    for thread in threading.enumerate():
        if thread.name.startswith("tc-"):
            text = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
            total += int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return total


def test_idle_connections_cost_next_to_nothing(connect: Connect) -> None:
    with Echoes() as echoes, connect(echoes.port) as way, contextlib.ExitStack() as open_:
        with way.dial() as client:
            ping(client)
        before = resident_bytes()
        for _ in range(100):
            ping(open_.enter_context(way.dial()))
        assert resident_bytes() - before < 5 * MB
        assert len(our_threads()) <= MOST_THREADS
        quiet = wake_ups()
        time.sleep(3.0)
        assert wake_ups() - quiet <= 2


@pytest.mark.parametrize("who", ["client", "server", "both"])
def test_resets_over_and_over_cost_nobody_else(connect: Connect, who: str) -> None:
    """Amid an upload, thousands of times; plain paramiko lost its transport by some dozens."""
    rounds, at_once = 125, 16

    def talk(sock: socket.socket) -> None:
        kind = sock.recv(1)
        if kind == b"e":
            echo(sock)
        elif who == "client":
            sock.sendall(b"!")
            while sock.recv(1 << 16):
                pass
        else:
            set_reset_on_close(sock)

    def hammer() -> None:
        for _ in range(rounds):
            with contextlib.suppress(ConnectionError), way.dial() as client:
                client.sendall(b"r")
                if who == "client":
                    assert client.recv(1) == b"!"
                client.sendall(bytes(60_000))
                if who == "server":
                    assert client.recv(1) == b""
                else:
                    set_reset_on_close(client)

    with Service(talk) as service, connect(service.address[1]) as way:
        with way.dial() as steady:
            steady.sendall(b"e")
            ping(steady)
            together([hammer] * at_once)
            ping(steady)
        is_over(way)


@pytest.mark.parametrize("who", ["client", "service"])
def test_resets_of_a_remote_forward(connect: Connect, who: str) -> None:
    """The client is at the server, the service here."""

    def talk(sock: socket.socket) -> None:
        if sock.recv(1) == b"e":
            echo(sock)
        elif who == "client":
            while sock.recv(1 << 16):
                pass
        else:
            set_reset_on_close(sock)

    with Service(talk) as service, connect(service.address[1]) as way:
        ports: queue.Queue[int | Problem] = queue.Queue()
        way.tunnel.listen(
            TcpEndpoint("127.0.0.1", 0),
            lambda incoming: way.forwarding.take(incoming, TcpEndpoint(*service.address)),
            ports.put,
        )
        port = ports.get(timeout=LIMIT)
        assert isinstance(port, int)

        def hammer() -> None:
            for _ in range(60):
                with contextlib.suppress(ConnectionError), tcp(port) as client:
                    client.sendall(b"r" + bytes(60_000))
                    if who == "client":
                        set_reset_on_close(client)
                    else:
                        assert client.recv(1) == b""

        with tcp(port) as steady:
            steady.sendall(b"e")
            ping(steady)
            together([hammer] * 8)
            ping(steady)
        is_over(way)


# --- a frozen server ------------------------------------------------------------------------------


def test_disconnecting_from_a_frozen_server(connect: Connect, sshd: Sshd) -> None:
    """It waits for nobody, and resets who is connected: downloads, uploads, and openings."""
    with Echoes() as echoes, connect(echoes.port) as way, contextlib.ExitStack() as open_:
        clients = [open_.enter_context(way.dial()) for _ in range(100)]
        for client in clients:
            ping(client)
        sshd.freeze()
        try:
            clients += [open_.enter_context(way.dial()) for _ in range(20)]
            for client in clients[50:]:
                client.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        client.send(bytes(100_000))
                client.settimeout(90)
            way.tunnel.close()
            way.forwarding.close()
            assert our_threads() == []
            assert all(map(was_reset, clients))
        finally:
            sshd.thaw()
        assert way.losses.problems == []
