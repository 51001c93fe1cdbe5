"""A shortage of this computer's passes: it is waited for, and nothing ends for good."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.sshd import Sshd
from tests.support.tunnel_kit import YES, Kit, User, nothing_left, until
from tests.support.whole import LIMIT, Whole, entry
from trayconnect.config.file_watcher import FileWatcher
from trayconnect.core.errors import Problem, ProblemError, Recovery, problem_of, shortage
from trayconnect.desktop.bus_connection import BusConnection, refusal
from trayconnect.sessions.state import State

STAGES = 40
"""More descriptors than an attempt needs at once."""


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def sshd(key: Path) -> Iterator[Sshd]:
    with Sshd() as server:
        server.authorize(key)
        yield server


@contextlib.contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """This process can open so many more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    try:
        highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + count, hard))
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        for _ in range(min(count, len(taken))):
            os.close(taken.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in taken:
            os.close(each)


def test_every_stage_of_connecting_waits_for_descriptors(
    sshd: Sshd, key: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = entry(sshd, key, jupyter={"port": free_port()})
    met: set[str] = set()
    with Whole(server, known_hosts=sshd.known_hosts_lines()) as whole:
        for count in range(STAGES):
            with descriptors_left(count):
                whole.connect()
                now = whole.until(lambda s: s.state is not State.CONNECTING and s.is_active)
                assert now.state in (State.WAITING, State.UP), now.problem
                if now.problem is not None and now.state is State.WAITING:
                    met.add(now.problem.title)
            if now.state is State.WAITING:
                whole.manager.woke()
                whole.until_state(State.UP)
            whole.off()
        assert whole.questions == []
        assert now.state is State.UP
    assert "This computer has no open files left for trayconnect" in met
    assert "Traceback" not in caplog.text


def test_no_threads_left(sshd: Sshd, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of the threads of an attempt it is that cannot be started."""
    start = threading.Thread.start
    allowed = 0

    def limited(thread: threading.Thread) -> None:
        nonlocal allowed
        if thread.name.startswith("tc-"):
            if allowed == 0:
                raise RuntimeError("can't start new thread")
            allowed -= 1
        start(thread)

    server = entry(sshd, key, jupyter={"port": free_port()})
    with Whole(server, known_hosts=sshd.known_hosts_lines()) as whole:
        for number in range(6):
            allowed = number
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", limited)
                whole.connect()
                now = whole.until(lambda s: s.state is not State.CONNECTING and s.is_active)
                assert now.state in (State.WAITING, State.UP), now.problem
            whole.manager.woke()
            whole.until_state(State.UP)
            whole.off()


def test_known_hosts_that_cannot_be_read_now_ask_nobody(
    sshd: Sshd, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = Kit(tmp_path)
    kit.trust(sshd.known_hosts_lines())
    read = Path.read_bytes

    def short(path: Path) -> bytes:
        if path == kit.user_file:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", short)
    user = User(YES)
    with nothing_left(), pytest.raises(OSError) as caught:
        kit.connect(entry(sshd, key), user)
    assert user.questions == []
    assert problem_of(caught.value).recovery is Recovery.RETRY


class Client:
    """Of a link to the session bus."""

    def __init__(self) -> None:
        self.reasons: list[Exception] = []
        self.is_connected = threading.Event()

    def connected(self) -> None:
        self.is_connected.set()

    def disconnected(self, reason: Exception) -> None:
        self.reasons.append(reason)

    def signalled(self, message: object) -> None:
        """Nothing is asked for."""

    called = staticmethod(refusal)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_the_link_to_the_session_bus_outlives_it(count: int) -> None:
    daemon = subprocess.Popen(
        ["dbus-daemon", "--session", "--nofork", "--print-address"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert daemon.stdout is not None
    client = Client()
    link = BusConnection(client, {"DBUS_SESSION_BUS_ADDRESS": daemon.stdout.readline().strip()})
    thread = threading.Thread(target=link.run, name="tc-link")
    try:
        with descriptors_left(count):
            thread.start()
            assert until(lambda: bool(client.reasons))
            assert shortage(client.reasons[0])
        assert client.is_connected.wait(LIMIT)
    finally:
        link.stop()
        thread.join(LIMIT)
        daemon.kill()
        daemon.wait()
        daemon.stdout.close()
    assert not thread.is_alive()


def test_a_change_of_the_file_is_taken_in_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trayconnect.config.file_watcher.POLL_SECONDS", 0.1)
    file = tmp_path / "servers.yaml"
    file.write_text("servers: []")
    calls: list[str] = []

    def read() -> None:
        calls.append("call")
        if len(calls) < 3:
            raise ProblemError(Problem("x", "y")) from OSError(errno.ENFILE, "too many")

    watcher = FileWatcher(file, read)
    watcher.start()
    try:
        file.write_text("servers: [1]")
        assert until(lambda: len(calls) == 3)
    finally:
        watcher.stop()


def test_connections_wait_while_nobody_can_tell_whose_they_are(sshd: Sshd, key: Path) -> None:
    server = entry(sshd, key, jupyter={"port": sshd.port})
    with Whole(server, known_hosts=sshd.known_hosts_lines()) as whole:
        whole.connect()
        whole.until_state(State.UP)
        client = socket.create_connection(("127.0.0.1", server.local_port), LIMIT)
        client.close()
        with socket.socket() as client:
            client.settimeout(LIMIT)
            with descriptors_left(1):
                client.connect(("127.0.0.1", server.local_port))
                until(lambda: False, 0.3)
            assert client.recv(4) == b"SSH-"
        whole.off()
