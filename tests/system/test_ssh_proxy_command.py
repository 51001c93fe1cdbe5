"""The child process of a ProxyCommand: its stream, its last words, its end."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tunnel_kit import nothing_left, until
from trayconnect.core.errors import ProblemError, Recovery
from trayconnect.ssh.proxy_command import ProxyCommand
from trayconnect.ssh.target import LoginTarget

TARGET = LoginTarget("GPU box", "gpu", 22, "ada")


@pytest.fixture(params=[False, True], ids=["socket", "pipes"])
def pipes(request: pytest.FixtureRequest) -> Iterator[bool]:
    with nothing_left():
        yield request.param


WORDS = "sh -c 'printf \"one\\\\ntwo\\\\n\\\\033[1mthree\" >&2; exit 3'"


def receive(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (part := sock.recv(65536)):
        data += part
    return data


def test_it_carries_bytes_both_ways(pipes: bool) -> None:
    proxy = ProxyCommand(TARGET, "cat", pipes=pipes)
    try:
        proxy.sock.settimeout(20)
        for chunk in (b"hello", bytes(range(256)) * 100):
            proxy.sock.sendall(chunk)
            assert receive(proxy.sock, len(chunk)) == chunk
    finally:
        proxy.close()


def test_its_end_is_an_end_of_the_stream(pipes: bool) -> None:
    proxy = ProxyCommand(TARGET, WORDS, pipes=pipes)
    try:
        proxy.sock.settimeout(20)
        assert proxy.sock.recv(10) == b""
        problem = proxy.ended()
        assert problem is not None
        assert problem.problem.title == "The ProxyCommand for gpu (sh) ended with status 3"
        assert problem.problem.advice == "It said:\n  one\n  two\n  three"
        assert problem.problem.recovery is Recovery.RETRY
    finally:
        proxy.close()


def test_only_the_last_words_are_kept(pipes: bool) -> None:
    proxy = ProxyCommand(TARGET, "sh -c 'seq 1 100000 >&2; exit 1'", pipes=pipes)
    try:
        proxy.sock.settimeout(20)
        assert proxy.sock.recv(10) == b""
        problem = proxy.ended()
        assert problem is not None
        assert problem.problem.advice.splitlines()[1:] == [f"  {n}" for n in range(99996, 100001)]
    finally:
        proxy.close()


def test_one_that_runs_on_has_not_ended(pipes: bool) -> None:
    proxy = ProxyCommand(TARGET, "sleep 1000", pipes=pipes)
    assert proxy.ended() is None
    began = time.monotonic()
    proxy.close()
    assert time.monotonic() - began < 20


def test_what_it_started_ends_with_it(pipes: bool, tmp_path: Path) -> None:
    """Also what takes no notice of SIGTERM."""
    command = f"sh -c 'trap : TERM; sleep 1000 & echo $! > {tmp_path}/pid; while :; do wait; done'"
    proxy = ProxyCommand(TARGET, command, pipes=pipes)
    assert until(lambda: (tmp_path / "pid").exists() and bool((tmp_path / "pid").read_text()))
    child = int((tmp_path / "pid").read_text())
    proxy.close()
    assert until(lambda: _is_over(child))


def test_what_it_leaves_running_elsewhere_holds_nothing_up() -> None:
    proxy = ProxyCommand(TARGET, "sh -c 'setsid sleep 3 & exec cat'", pipes=False)
    with nothing_left():
        proxy.close()


def test_ending_it_twice_and_from_anywhere(pipes: bool) -> None:
    proxy = ProxyCommand(TARGET, "cat", pipes=pipes)
    proxy.terminate()
    proxy.close()
    proxy.terminate()
    proxy.close()


def test_a_shell_that_is_not_there(pipes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/no/such/shell")
    with pytest.raises(ProblemError, match="could not be started"):
        ProxyCommand(TARGET, "cat", pipes=pipes)


def _is_over(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True
