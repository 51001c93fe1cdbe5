"""The relay itself, run on this computer: what its channels do, and its end."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from tests.support.local_relay import ProcessStream, local_relay
from tests.support.tunnel_kit import Losses, nothing_left, until
from trayconnect.core.endpoints import Endpoint, TcpEndpoint, UnixEndpoint
from trayconnect.core.errors import ProblemError
from trayconnect.core.link import (
    Client,
    NotEndedError,
    NotOpenedError,
    NotOursError,
    Owner,
    Refusal,
)
from trayconnect.services.batch.relay import frames, program
from trayconnect.services.batch.relay.local_stream import LocalProgram
from trayconnect.services.batch.relay.relay_link import RelayLink

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the relay runs on Linux")

ORIGIN = ("127.0.0.1", 0)
LIMIT = 30.0


@pytest.fixture(scope="module")
def link() -> Iterator[RelayLink]:
    losses = Losses()
    with nothing_left():
        link = local_relay(losses)
        yield link
        link.close()
    assert not losses.problems


@pytest.fixture(autouse=True)
def nothing_is_carried_afterwards(link: RelayLink) -> Iterator[None]:
    yield
    assert until(lambda: link.traffic.connections == 0, LIMIT)


class Far:
    """A listener of the node, and the connections that it accepted."""

    def __init__(self, sock: socket.socket, target: Endpoint) -> None:
        self._listening = sock
        self.target = target
        sock.settimeout(LIMIT)
        sock.listen()

    def accept(self) -> socket.socket:
        sock, _ = self._listening.accept()
        sock.settimeout(LIMIT)
        return sock


@pytest.fixture(params=["unix", "tcp"])
def far(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Far]:
    if request.param == "unix":
        with socket.socket(socket.AF_UNIX) as sock:
            path = tmp_path / "s"
            sock.bind(str(path))
            yield Far(sock, UnixEndpoint(str(path)))
    else:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            yield Far(sock, TcpEndpoint("localhost", sock.getsockname()[1]))


@contextlib.contextmanager
def carried(link: RelayLink, target: Endpoint, first: bytes = b"") -> Iterator[socket.socket]:
    """A browser's socket, whose other end the link carries."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        browser = socket.create_connection(listening.getsockname())
        sock, origin = listening.accept()
    sock.setblocking(False)
    browser.settimeout(LIMIT)
    browser.sendall(first)
    owners: list[Owner] = []
    refusals: list[ProblemError] = []
    link.carry_own(
        Client(sock, origin),
        target,
        named=False,
        on_opened=owners.append,
        on_refused=refusals.append,
    )
    with browser:
        yield browser
    assert owners == [Owner.OURS], refusals


def read(sock: socket.socket) -> bytes:
    """To its end."""
    data = b""
    while more := sock.recv(1 << 16):
        data += more
    return data


def has_ended(pid: int) -> bool:
    """Or only waits for its parent, which may be one that does not care."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except FileNotFoundError:
        return True


# --- connections ----------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [b"", b"early "])
def test_each_direction_ends_alone(link: RelayLink, far: Far, first: bytes) -> None:
    with carried(link, far.target, first) as browser, far.accept() as server:
        browser.sendall(b"question")
        browser.shutdown(socket.SHUT_WR)
        assert read(server) == first + b"question"
        server.sendall(b"answer")
        server.close()
        assert read(browser) == b"answer"


def test_the_server_may_end_first(link: RelayLink, far: Far) -> None:
    with carried(link, far.target) as browser, far.accept() as server:
        server.sendall(b"hello")
        server.shutdown(socket.SHUT_WR)
        assert read(browser) == b"hello"
        browser.sendall(b"more")
        browser.shutdown(socket.SHUT_WR)
        assert read(server) == b"more"


def test_the_last_answer_arrives_though_the_server_takes_no_more(link: RelayLink, far: Far) -> None:
    """ "413 Too Large", while the upload goes on."""
    with carried(link, far.target, b"x" * 1000) as browser, far.accept() as server:
        assert server.recv(100) == b"x" * 100
        server.sendall(b"413")
        server.shutdown(socket.SHUT_RDWR)
        server.close()

        def upload() -> None:
            with contextlib.suppress(OSError):
                for _ in range(100):
                    browser.sendall(bytes(100_000))

        thread = threading.Thread(target=upload)
        thread.start()
        assert browser.recv(3) == b"413"
        with contextlib.suppress(OSError):
            browser.shutdown(socket.SHUT_RDWR)
        thread.join(LIMIT)


def test_a_browser_that_goes_away_ends_the_far_connection(link: RelayLink, far: Far) -> None:
    with carried(link, far.target, b"hello") as browser, far.accept() as server:
        assert server.recv(100) == b"hello"
        server.sendall(bytes(3_000_000)[:200_000])
        browser.close()
        with contextlib.suppress(ConnectionResetError):
            while server.recv(100):
                pass


def test_a_reset_server_ends_the_browser(link: RelayLink) -> None:
    """As behind OpenSSH."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        far = Far(listening, TcpEndpoint("127.0.0.1", listening.getsockname()[1]))
        with carried(link, far.target, b"hello") as browser:
            server = far.accept()
            assert server.recv(100) == b"hello"
            server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            server.close()
            assert read(browser) == b""


def test_a_listener_that_hangs_up_at_once_harms_nobody(link: RelayLink) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        target = TcpEndpoint("127.0.0.1", listening.getsockname()[1])

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                while True:
                    server, _ = listening.accept()
                    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    server.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        for _ in range(50):
            with contextlib.suppress(ProblemError, OSError):
                stream, _ = link.open_own_channel(target, ORIGIN, named=True)
                stream.sendall(b"hello")
                stream.recv(100)
                stream.close()
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(LIMIT)
    assert link.execute("echo alive", b"", LIMIT).stdout == b"alive\n"


def test_who_does_not_read_stalls_nobody_and_fills_no_memory(link: RelayLink, far: Far) -> None:
    """Both a browser and a server that do not read: what waits for them is bounded."""
    sent = {"down": 0, "up": 0}

    def pour(sock: socket.socket, name: str) -> None:
        sock.setblocking(False)
        quiet = 0
        while quiet < 20:
            try:
                sent[name] += sock.send(bytes(1 << 16))
                quiet = 0
            except BlockingIOError:
                quiet += 1
                threading.Event().wait(0.05)

    with contextlib.ExitStack() as stack:
        stalled = stack.enter_context(carried(link, far.target))
        server = stack.enter_context(far.accept())
        pourers = [
            threading.Thread(target=pour, args=(server, "down")),
            threading.Thread(target=pour, args=(stalled, "up")),
        ]
        for thread in pourers:
            thread.start()
        browser = stack.enter_context(carried(link, far.target))
        other = stack.enter_context(far.accept())
        for _ in range(20):
            browser.sendall(b"x" * 1000)
            assert other.recv(1000, socket.MSG_WAITALL) == b"x" * 1000
            other.sendall(b"y" * 1000)
            assert browser.recv(1000, socket.MSG_WAITALL) == b"y" * 1000
        for thread in pourers:
            thread.join(LIMIT)
        # A window, and the buffers of the sockets at both ends.
        assert all(size < 16 << 20 for size in sent.values()), sent
        stalled.setblocking(True)
        server.setblocking(True)
        stalled.settimeout(LIMIT)
        taken = 0
        while taken < sent["down"]:
            taken += len(stalled.recv(1 << 16))
        for sock in (stalled, browser, server, other):
            sock.close()


def test_much_data_arrives_whole_both_ways(link: RelayLink, far: Far) -> None:
    data = os.urandom(5_000_000)
    with carried(link, far.target) as browser, far.accept() as server:

        def answer() -> None:
            server.sendall(read(server))
            server.shutdown(socket.SHUT_WR)

        def ask() -> None:
            browser.sendall(data)
            browser.shutdown(socket.SHUT_WR)

        threads = [threading.Thread(target=answer), threading.Thread(target=ask)]
        for thread in threads:
            thread.start()
        assert read(browser) == data
        for thread in threads:
            thread.join(LIMIT)


def test_many_connections_at_once(link: RelayLink, far: Far) -> None:
    with contextlib.ExitStack() as stack:
        pairs = [
            (
                stack.enter_context(carried(link, far.target, b"%04d" % number)),
                stack.enter_context(far.accept()),
            )
            for number in range(50)
        ]
        for _, server in reversed(pairs):
            server.sendall(server.recv(4, socket.MSG_WAITALL))
        for number, (browser, _) in enumerate(pairs):
            assert browser.recv(4, socket.MSG_WAITALL) == b"%04d" % number


# --- owners, refusals -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "refusal"),
    [
        (UnixEndpoint("/nowhere/s"), Refusal.REFUSED),
        (UnixEndpoint("/" + "x" * 200), Refusal.OTHER),
        (TcpEndpoint("localhost", 1), Refusal.REFUSED),
        (TcpEndpoint("nowhere.invalid", 80), Refusal.UNRESOLVED),
    ],
)
def test_nothing_listens(link: RelayLink, target: Endpoint, refusal: Refusal) -> None:
    with pytest.raises(NotOpenedError) as caught:
        link.open_channel(target, ORIGIN)
    assert caught.value.refusal is refusal
    assert link.owner(target) in (Owner.NOBODY, Owner.UNKNOWN)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two accounts")
@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_another_users_listener_gets_nothing(kind: str, link: RelayLink, tmp_path: Path) -> None:
    """Whoever called `listen` is the owner, whatever the file says."""
    listening = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
    with listening:
        path = str(tmp_path / "s")
        if kind == "tcp":
            listening.bind(("127.0.0.1", 0))
        else:
            listening.bind(path)
        os.seteuid(12345)
        try:
            if kind == "tcp":  # a socket belongs to who made it
                listening.close()
                listening = socket.create_server(("127.0.0.1", 0))
            listening.listen()
        finally:
            os.seteuid(0)
        target = (
            UnixEndpoint(path)
            if kind == "unix"
            else TcpEndpoint("127.0.0.1", listening.getsockname()[1])
        )
        assert link.owner(target) is Owner.OTHERS
        for named in (False, True):
            with pytest.raises(NotOursError) as caught:
                link.open_own_channel(target, ORIGIN, named=named)
            assert caught.value.owner is Owner.OTHERS
        link.open_channel(target, ORIGIN).close()
        listening.close()


# --- commands -------------------------------------------------------------------------------------


def test_a_command_has_its_streams_and_its_status(link: RelayLink) -> None:
    done = link.execute("cat; echo error >&2; exit 7", b"x" * 2_000_000, LIMIT)
    assert (done.status, done.stdout, done.stderr) == (7, b"x" * (1 << 20), b"error\n")
    assert link.execute("kill -9 $$", b"", LIMIT).status == -1
    assert link.execute("exit 3", b"not read" * 100_000, LIMIT).status == 3


def test_what_a_command_leaves_behind_is_not_awaited(link: RelayLink) -> None:
    done = link.execute("echo done; sleep 86 & exit 2", b"", LIMIT)
    assert (done.status, done.stdout) == (2, b"done\n")


def test_a_command_that_hangs_is_ended(link: RelayLink) -> None:
    with pytest.raises(NotEndedError) as caught:
        link.execute("echo so far; echo $$; exec sleep 600", b"", 1.0)
    *said, pid = caught.value.so_far.stdout.split(b"\n")[:-1]
    assert said == [b"so far"]
    assert until(lambda: has_ended(int(pid)))


def test_a_command_that_talks_faster_than_it_is_read_ends_in_time() -> None:
    class Endless(LocalProgram):
        def recv(self, size: int) -> bytes:
            return bytes(size)

    near, far = socket.socketpair()
    with near, far:
        far.sendall(b"always ready")
        talking = Endless(near, Mock(), Mock(status=None, stderr=b""))
        completed, has_ended = talking.run(b"", 0.1)
    assert not has_ended
    assert completed.status == -1


def test_a_program_talks_while_it_runs(link: RelayLink) -> None:
    started = link.start_program("echo ready; cat; echo bye >&2; exit 4", LIMIT)
    assert started.recv(100) == b"ready\n"
    started.sendall(b"hello\n")
    assert started.recv(100) == b"hello\n"
    assert started.status is None
    started.shutdown_write()
    assert started.recv(100) == b""
    assert [started.status, started.said] == [4, b"bye\n"]
    started.close()


def test_a_reader_is_woken_by_its_own_close(link: RelayLink) -> None:
    started = link.start_program("exec sleep 600", LIMIT)
    said: list[bytes] = []

    def read_on() -> None:
        with contextlib.suppress(OSError):
            said.append(started.recv(100))

    thread = threading.Thread(target=read_on)
    thread.start()
    started.close()
    thread.join(LIMIT)
    assert not thread.is_alive()
    assert said in ([], [b""])


# --- the end --------------------------------------------------------------------------------------


def ends(do: Callable[[ProcessStream], None]) -> str:
    """What is told of a relay's end, and that all its children end with it."""
    losses = Losses()
    stream = ProcessStream("sh", "-c", program.command())
    link = local_relay(losses, stream=stream)
    started = link.start_program("echo $$; exec sleep 600", LIMIT)
    child = int(started.recv(100))
    do(stream)
    title = losses.wait().title
    with pytest.raises((OSError, ProblemError)):
        assert started.recv(100)
    started.close()
    assert until(lambda: has_ended(child))
    link.close()
    assert len(losses.problems) == 1
    return title


def test_the_relays_end_is_told_once() -> None:
    assert ends(lambda stream: stream.shutdown_write()) == "The connection to c1 was lost"


def test_a_relay_that_hears_nothing_ends() -> None:
    """As when srun was killed: nobody ends its input."""
    stream = ProcessStream("sh", "-c", program.command())
    try:
        stream.sendall(program.stdin() + frames.number_frame(frames.PING, 0, 1))
        while stream.recv(1000):
            pass
        assert stream.process.wait(LIMIT) == 0
    finally:
        stream.close()


@pytest.mark.parametrize("bad", [b"\xff" * 50, frames.frame(frames.DATA, 1, bytes(32 << 10)) * 40])
def test_the_relay_takes_no_nonsense(bad: bytes) -> None:
    stream = ProcessStream("sh", "-c", program.command())
    try:
        with contextlib.suppress(BrokenPipeError):
            stream.sendall(program.stdin() + frames.frame(frames.RUN, 1, b"sleep 60") + bad)
        said = b""
        while data := stream.recv(1000):
            said += data
        assert stream.process.wait(LIMIT) == 0
        assert b"relay none" not in said
        assert stream.said.startswith(b"trayconnect relay: ")
    finally:
        stream.close()
