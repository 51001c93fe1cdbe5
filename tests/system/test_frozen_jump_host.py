"""Of a jump host and the server behind it, the one is named that is frozen or gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.keys import make_key
from tests.support.sshd import Sshd
from tests.support.tunnel_kit import Kit, Losses, entry, nothing_left
from trayconnect.config.model import Server
from trayconnect.core.errors import Problem, Recovery
from trayconnect.ssh import connect, route
from trayconnect.ssh.auth import login
from trayconnect.ssh.transport.ssh_transport import SshTransport


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def both(key: Path) -> Iterator[tuple[Sshd, Sshd]]:
    """The jump host, and the server behind it."""
    with Sshd() as gate, Sshd() as server:
        for sshd in (gate, server):
            sshd.authorize(key)
        yield gate, server


@pytest.fixture
def gate(both: tuple[Sshd, Sshd]) -> Iterator[Sshd]:
    yield both[0]
    both[0].thaw()
    both[0].kill_sessions()


@pytest.fixture
def server(both: tuple[Sshd, Sshd]) -> Iterator[Sshd]:
    yield both[1]
    both[1].thaw()
    both[1].kill_sessions()


@pytest.fixture
def kit(tmp_path: Path, gate: Sshd, server: Sshd) -> Kit:
    made = Kit(tmp_path)
    made.trust([*gate.known_hosts_lines(), *server.known_hosts_lines()])
    return made


def through(gate: Sshd, server: Sshd, key: Path, **options: object) -> Server:
    return entry(
        server.port,
        identity_file=key,
        jump_hosts=[f"{gate.username}@{gate.host}:{gate.port}"],
        **{"connect_timeout": 3.0} | options,
    )


def problem_when(
    kit: Kit, entry_: Server, monkeypatch: pytest.MonkeyPatch, step: str, act: Callable[[], None]
) -> Problem:
    """The problem that connecting ends with if `act` is done just before a step of the way to the
    server behind the jump host."""
    if step == "channel":
        whole = SshTransport.open_socket

        def opening(self: SshTransport, host: str, port: int, timeout: float) -> object:
            act()
            return whole(self, host, port, timeout)

        monkeypatch.setattr(SshTransport, "open_socket", opening)
    elif step == "handshake":
        shake = connect.shake_hands

        def shaking(stream: object, target: object, **options: object) -> object:
            if not getattr(target, "is_jump_host"):  # noqa: B009
                act()
            return shake(stream, target, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(route, "shake_hands", shaking)
    else:
        log_in = login.log_in

        def logging_in(transport: object, target: object, *arguments: object) -> object:
            if not getattr(target, "is_jump_host"):  # noqa: B009
                act()
            return log_in(transport, target, *arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(route, "log_in", logging_in)
    with nothing_left():
        return kit.problem(entry_)


@pytest.mark.parametrize("step", ["channel", "handshake", "login"])
@pytest.mark.parametrize("frozen", ["jump host", "server"])
def test_the_frozen_one_is_named(
    kit: Kit,
    gate: Sshd,
    server: Sshd,
    key: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    frozen: str,
) -> None:
    one, other = (gate, server) if frozen == "jump host" else (server, gate)
    problem = problem_when(kit, through(gate, server, key), monkeypatch, step, one.freeze)
    assert f"127.0.0.1:{one.port}" in problem.title
    assert f"127.0.0.1:{other.port}" not in problem.title
    if one is gate:
        assert problem.title == f"The jump host 127.0.0.1:{gate.port} stopped answering"
    assert problem.recovery is Recovery.RETRY


@pytest.mark.parametrize("step", ["channel", "handshake", "login"])
def test_one_that_is_gone_is_named(
    kit: Kit, gate: Sshd, server: Sshd, key: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    problem = problem_when(kit, through(gate, server, key), monkeypatch, step, gate.kill_sessions)
    assert problem.title == f"The connection to 127.0.0.1:{gate.port} was lost"


@pytest.mark.parametrize("frozen", ["jump host", "server"])
def test_the_one_that_freezes_later_is_named(
    kit: Kit, gate: Sshd, server: Sshd, key: Path, frozen: str
) -> None:
    one = gate if frozen == "jump host" else server
    keepalive = {"interval": 2, "count_max": 2}
    losses = Losses()
    entry_ = through(gate, server, key, keepalive=keepalive, connect_timeout=10)
    with nothing_left(), kit.tunnel(entry_, losses=losses) as tunnel:
        assert tunnel.execute("true", b"", 20).status == 0
        one.freeze()
        title = losses.wait().title
        one.thaw()
    kind = "The jump host " if one is gate else ""
    assert title == f"{kind}127.0.0.1:{one.port} stopped answering"
