"""What answers at a server's address on another network is not the server: no login is sent, and
the tunnel comes back once the right one answers there."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.proxy import FaultyProxy, Peer
from tests.support.sshd import Sshd
from tests.support.whole import LIMIT, Whole, entry
from trayconnect.config.model import Server
from trayconnect.services.protocol import Level
from trayconnect.sessions import machine
from trayconnect.sessions.state import State
from trayconnect.ssh import connect


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def sshd(key: Path) -> Iterator[Sshd]:
    with Sshd() as server:
        server.authorize(key)
        yield server


def portal(sock: socket.socket) -> None:
    sock.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\n\r\n")
    sock.close()


def other_protocol(sock: socket.socket) -> None:
    sock.sendall(b"220 mail.example.org ESMTP\r\n")
    sock.close()


def nonsense(sock: socket.socket) -> None:
    sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" + b"\xff" * 1000)
    sock.recv(4096)
    sock.close()


def penalty(sock: socket.socket) -> None:
    sock.sendall(b"Not allowed at this time\r\n")
    sock.close()


@contextlib.contextmanager
def other_server(key: Path, seen: list[int]) -> Iterator[int]:
    """Another SSH server, with a host key of its own."""
    with Sshd() as other:
        other.authorize(key)
        yield other.port
        log = other.log_text()
    seen.append(log.count("Connection from"))
    assert "Accepted" not in log
    assert "Failed" not in log


@contextlib.contextmanager
def peer(act: Callable[[socket.socket], None], seen: list[int]) -> Iterator[int]:
    count = 0

    def counted(sock: socket.socket) -> None:
        nonlocal count
        count += 1
        act(sock)

    with Peer(counted) as running:
        yield running.port
    seen.append(count)


@contextlib.contextmanager
def network(what: str, key: Path, seen: list[int]) -> Iterator[int]:
    """The port of what answers there; `seen` gets how often it was asked."""
    acts = {"a portal": portal, "a mail server": other_protocol, "nonsense": nonsense}
    there = other_server(key, seen) if what == "another server" else peer(acts[what], seen)
    with there as port:
        yield port


def at(relay: FaultyProxy, sshd: Sshd, key: Path, gate: Sshd | None = None) -> Server:
    changes: dict[str, Any] = (
        {"jump_hosts": [f"{gate.username}@{gate.host}:{gate.port}"]} if gate else {}
    )
    return entry(sshd, key, port=relay.port, jupyter={"port": free_port()}, **changes)


def known(relay: FaultyProxy, *servers: Sshd) -> list[str]:
    """The hosts' keys, the first one's at the relay's port."""
    lines = [line for server in servers for line in server.known_hosts_lines()]
    first = servers[0]
    return [*lines, *(line.replace(f":{first.port} ", f":{relay.port} ") for line in lines)]


@pytest.mark.parametrize("what", ["a portal", "a mail server", "another server", "nonsense"])
def test_a_tunnel_comes_back_with_its_network(sshd: Sshd, key: Path, what: str) -> None:
    seen: list[int] = []
    with (
        network(what, key, seen) as elsewhere,
        FaultyProxy(sshd.host, elsewhere) as relay,
        Whole(at(relay, sshd, key), known_hosts=known(relay, sshd)) as whole,
    ):
        whole.connect()
        failed = whole.until_state(State.FAILED)
        assert failed.problem is not None
        for order in (whole.manager.network_changed, whole.manager.woke):
            attempt = failed.attempt
            order()
            # Judged anew, and shown as it was.
            failed = whole.until(lambda s, n=attempt: s.attempt > n + 1)  # type: ignore[misc]
            assert failed.state is State.FAILED
            assert failed.problem is not None
        relay.lead_to(sshd.port)
        whole.manager.network_changed()
        up = whole.until_state(State.UP)
        assert up.level is Level.NOTHING
        assert whole.questions == []
        whole.off()
    assert seen[0] >= 3


def test_a_tunnel_comes_back_without_a_word_of_the_network(
    sshd: Sshd, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "SLOW", 0.2)
    with (
        Sshd() as gate,
        Peer(portal) as elsewhere,
        FaultyProxy(sshd.host, elsewhere.port) as relay,
    ):
        gate.authorize(key)
        server = at(relay, sshd, key, gate)
        with Whole(server, known_hosts=[*known(relay, sshd), *gate.known_hosts_lines()]) as whole:
            whole.connect()
            failed = whole.until_state(State.FAILED)
            assert failed.problem is not None
            assert "is not an SSH server" in failed.problem.title
            relay.lead_to(sshd.port)
            whole.until_state(State.UP)
            whole.off()


def test_a_penalty_is_waited_for(sshd: Sshd, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "_BUSY_SECONDS", 5.0)
    with (
        Peer(penalty) as elsewhere,
        FaultyProxy(sshd.host, elsewhere.port) as relay,
        Whole(at(relay, sshd, key), known_hosts=known(relay, sshd)) as whole,
    ):
        whole.connect()
        waiting = whole.until_state(State.WAITING)
        assert waiting.retry_at is not None
        assert 5 <= waiting.retry_at - waiting.since <= LIMIT
        relay.lead_to(sshd.port)
        whole.manager.network_changed()
        whole.until_state(State.UP)
        whole.off()
