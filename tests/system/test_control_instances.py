"""The lock and the socket between real processes."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.control import PATIENCE, serving, short_folder
from trayconnect.control.address import OVERRIDE
from trayconnect.control.client import ControlClient, NotRunningError
from trayconnect.control.lock import owner_pid
from trayconnect.control.place import runtime_folder
from trayconnect.control.transport_unix import UnixTransport
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import JSON, Command
from trayconnect.core.errors import ProblemError

ROOT = Path(__file__).parents[2]
PING = Command("ping")
LONG = 60.0
"""Seconds for what many starting interpreters do on a busy machine."""


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


class Peer:
    """A Python process that is spoken to line by line."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def says(self) -> str:
        """The next line; empty at the end."""
        return self._lines.get(timeout=LONG)

    def go(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(LONG)

    def end(self) -> int:
        """Its exit code, after the end of its input."""
        assert self.process.stdin
        self.process.stdin.close()
        return self.process.wait(LONG)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(LONG)
        self._reader.join(LONG)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream
            stream.close()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put("")


@contextmanager
def starts(folder: Path, count: int = 1) -> Iterator[list[Peer]]:
    """Processes that are about to start, and do as one."""
    with ExitStack() as stack:
        peers = []
        for _ in range(count):
            peer = Peer("-m", "tests.support.control_app", str(folder))
            stack.callback(peer.close)
            peers.append(peer)
        for peer in peers:
            assert peer.says() == "ready"
        for peer in peers:
            peer.go()
        yield peers


@pytest.mark.parametrize("count", [5, pytest.param(20, marks=pytest.mark.long)])
def test_of_many_starts_at_once_one_owns_the_place(folder: Path, count: int) -> None:
    for _ in range(2):  # the second time, over what a killed owner left
        with starts(folder, count) as peers:
            said = {peer: peer.says() for peer in peers}
            (owner,) = [peer for peer in peers if said[peer] == "owner"]
            assert sorted(said.values()) == [f"handed over to {owner.pid}"] * (count - 1) + [
                "owner"
            ]
            assert owner_pid(folder) == owner.pid
            assert ControlClient(folder).call(PING, PATIENCE).data == owner.pid
            owner.kill()
            assert (folder / "control.sock").is_socket()


def test_after_a_kill_nothing_runs_until_the_next_start(folder: Path) -> None:
    client = ControlClient(folder)
    with starts(folder) as [first]:
        assert first.says() == "owner"
        first.kill()
        with pytest.raises(NotRunningError):
            client.call(PING, PATIENCE)
        with starts(folder) as [second]:
            assert second.says() == "owner"
            assert client.call(PING, PATIENCE).data == second.pid
            assert second.end() == 0
    assert not (folder / "control.sock").exists()


def test_a_start_follows_an_owner_that_is_killed_meanwhile(folder: Path) -> None:
    with starts(folder) as [first]:
        assert first.says() == "owner"
        first.process.send_signal(signal.SIGSTOP)
        with starts(folder) as [second]:
            first.kill()
            assert second.says() == "owner"


def test_a_frozen_owner_is_named(folder: Path) -> None:
    with starts(folder) as [owner]:
        assert owner.says() == "owner"
        owner.process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(ProblemError, match="does not answer") as caught:
                ControlClient(folder).call(PING, 0.3)
        finally:
            owner.process.send_signal(signal.SIGCONT)
        assert f"process {owner.pid}" in caught.value.problem.advice
        assert ControlClient(folder).call(PING, PATIENCE).ok


def test_a_waiting_command_that_is_killed_cancels_its_request(folder: Path) -> None:
    command = f"""
        from pathlib import Path
        from trayconnect.control.client import ControlClient
        from trayconnect.core.command import JSON, Command

        ControlClient(Path({str(folder)!r})).call(Command("connect", "a", {{"wait": {LONG}}}))
    """
    with starts(folder) as [owner], ExitStack() as stack:
        assert owner.says() == "owner"
        waiting = Peer("-c", textwrap.dedent(command))
        stack.callback(waiting.close)
        assert owner.says() == "waiting"
        waiting.kill()
        assert owner.says() == "cancelled"


def test_two_places_are_two_apps(folder: Path) -> None:
    places = [runtime_folder({OVERRIDE: str(folder / name)}) for name in ("one", "two")]
    with starts(places[0]) as [first], starts(places[1]) as [second]:
        assert (first.says(), second.says()) == ("owner", "owner")
        for place, peer in zip(places, (first, second), strict=True):
            assert ControlClient(place).call(PING, PATIENCE).data == peer.pid


NOBODY = 65534


def test_another_user_is_refused_even_when_the_folder_lets_him_in(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As root, the other user is a real one; else the server takes us for him."""
    served = threading.Event()

    def handler(command: Command, cancel: CancelToken) -> JSON:
        served.set()
        return None

    is_root = os.geteuid() == 0
    uid = NOBODY if is_root else os.geteuid()
    expected = os.geteuid() if is_root else os.geteuid() + 1
    visitor = f"""
        import os, socket, sys
        from pathlib import Path
        from trayconnect.control.client import ControlClient
        from trayconnect.core.command import JSON, Command
        from trayconnect.control.protocol import encode_request
        from trayconnect.control.transport_unix import UnixTransport
        from trayconnect.core.errors import ProblemError

        if {is_root}:  # after the imports: he may not be let to where they are
            os.setgroups([])
            os.setresuid({uid}, {uid}, {uid})
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout({PATIENCE})
            sock.connect({str(folder / "control.sock")!r})
            try:
                sock.sendall(encode_request(Command("ping")))
                print("reply", sock.recv(100))
            except ConnectionError:
                print("reply", b"")
        try:
            print(ControlClient(Path({str(folder)!r})).call(Command("ping")))
        except ProblemError as error:
            print(error.problem.title)
    """
    with serving(folder, handler, transport=UnixTransport(uid=expected)), ExitStack() as stack:
        folder.chmod(0o755)
        (folder / "control.sock").chmod(0o777)
        peer = Peer("-c", textwrap.dedent(visitor))
        stack.callback(peer.close)
        assert peer.says() == "reply b''"
        # As root, the command sees by itself whose socket it is, and says nothing to it.
        assert peer.says() == (
            "The control socket belongs to another user"
            if is_root
            else "trayconnect hung up without an answer"
        )
    assert not served.is_set()
    assert f"the other end is user {uid}, not {expected}" in caplog.text
