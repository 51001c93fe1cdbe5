"""Forwards of every kind in a session, over OpenSSH's sshd."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.forwarding import (
    LIMIT,
    Service,
    answers,
    by_socks,
    tcp,
)
from tests.support.jupyter import JupyterOnSocket
from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.sshd import Sshd
from tests.support.unix_service import unix_dial, unix_echo
from tests.support.whole import Whole, entry
from trayconnect.config.forward_syntax import Kind
from trayconnect.config.local_addresses import own_address
from trayconnect.services.protocol import Level
from trayconnect.sessions.forwards import ForwardState
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.sessions.state import State

pytestmark = pytest.mark.usefixtures("leaves_nothing")


def session(
    sshd: Sshd, folder: Path, *forwards: dict[str, Any], jupyter: dict[str, Any] | None = None
) -> Whole:
    entries = list(forwards)
    server = entry(sshd, folder / "id_ed25519", forwards=entries, jupyter=jupyter or {"port": 1})
    return Whole(server, known_hosts=sshd.known_hosts_lines())


def all_answered(now: Snapshot) -> bool:
    """Whether every forward is up, or has a reason not to be."""
    if now.state is not State.UP:
        return False
    return all(forward.is_up or forward.problem for forward in now.forwards)


def port_of(forward: dict[str, Any]) -> int:
    return int(forward["local_port"])


def test_each_kind_leads_there_and_does_so_again_after_a_loss(
    sshd: Sshd, tmp_path: Path, service: Service
) -> None:
    host, port = service.address
    near, far, there, hook = (tmp_path / name for name in ("near", "far", "there", "hook"))
    local, to_socket, proxy, remote = (free_port() for _ in range(4))
    forwards: list[dict[str, Any]] = [
        {"name": "local", "local_port": local, "host": host, "port": port},
        {"name": "from a socket", "local_socket": str(near), "host": host, "port": port},
        {"name": "to a socket", "local_port": to_socket, "remote_socket": str(far)},
        {"name": "proxy", "kind": "dynamic", "local_port": proxy},
        {"name": "remote", "kind": "remote", "remote_port": remote, "host": host, "port": port},
        {"name": "chosen", "kind": "remote", "remote_port": 0, "host": host, "port": port},
        {"name": "hook", "kind": "remote", "remote_socket": str(hook), "local_socket": str(there)},
    ]
    with unix_echo(far), unix_echo(there), session(sshd, tmp_path, *forwards) as whole:
        assert [forward.is_up for forward in whole.until(lambda _: True).forwards] == [False] * 7

        def all_lead_there() -> None:
            now = whole.until(all_answered)
            assert [forward.problem for forward in now.forwards] == [None] * 7
            chosen = now.forwards[5]
            dials: list[Callable[[], socket.socket]] = [
                lambda: tcp(local),
                lambda: unix_dial(near),
                lambda: tcp(to_socket),
                lambda: by_socks(proxy, ("localhost", port)),
                lambda: tcp(remote),
                lambda: tcp(int(chosen.address.rpartition(":")[2])),
                lambda: unix_dial(hook),
            ]
            for dial in dials:
                answers(dial())

        whole.connect()
        all_lead_there()
        attempt = whole.until(all_answered).attempt
        sshd.kill_sessions()
        whole.until(lambda now: now.state is State.UP and now.attempt > attempt)
        all_lead_there()
        whole.off()
        assert not near.exists()
        assert not hook.exists()  # which sshd would leave behind, and not listen there again
        with pytest.raises(ConnectionRefusedError):
            tcp(local)


def test_what_is_said_of_each(sshd: Sshd, tmp_path: Path) -> None:
    forwards: list[dict[str, Any]] = [
        {"name": "page", "local_port": 6006, "port": 6007, "open": True},
        {"name": "db", "bind_address": "0.0.0.0", "local_port": 5432, "host": "db", "port": 5432},
        {"name": "socket", "local_socket": "/run/x", "remote_socket": "/run/y"},
        {"name": "proxy", "kind": "dynamic", "local_port": 1080},
        {"name": "hook", "kind": "remote", "remote_port": 9000, "port": 3000},
        {"name": "any", "kind": "remote", "remote_port": 0, "bind_address": "*", "port": 3000},
    ]
    with session(sshd, tmp_path, *forwards) as whole:
        said = whole.until(lambda _: True).forwards
    page, url = "http://127.0.0.1:6006/", f"http://{own_address(6006)}:6006/"
    local, remote, dynamic = Kind.LOCAL, Kind.REMOTE, Kind.DYNAMIC
    at_server, chosen = "localhost:9000 at the server", "a port of the server's choice"
    proxy = "socks5h://127.0.0.1:1080"
    assert said == (
        ForwardState("page", local, "localhost:6006", "localhost:6007", page, url, False),
        ForwardState("db", local, "0.0.0.0:5432", "db:5432", "127.0.0.1:5432", None, False),
        ForwardState("socket", local, "/run/x", "/run/y", "/run/x", None, False),
        ForwardState("proxy", dynamic, "localhost:1080 (SOCKS)", "", proxy, None, False),
        ForwardState("hook", remote, at_server, "localhost:3000", "localhost:9000", None, False),
        ForwardState("any", remote, chosen, "localhost:3000", "", None, False),
    )


REFUSED: list[tuple[str, dict[str, str], dict[str, Any], str]] = [
    ("forbidden", {"AllowTcpForwarding": "local"}, {"remote_port": 9000}, "AllowTcpForwarding"),
    ("another port", {"PermitListen": "localhost:1"}, {"remote_port": 9000}, "PermitListen"),
    ("sockets", {"AllowStreamLocalForwarding": "local"}, {"remote_socket": "/x"}, "StreamLocal"),
    ("a folder", {}, {"remote_socket": "/nowhere/at/all"}, "its folder may not be yours"),
]


@pytest.mark.parametrize(
    ("options", "listens", "advice"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_a_refused_one_is_told_of_and_costs_nothing_else(
    tmp_path: Path,
    service: Service,
    options: dict[str, str],
    listens: dict[str, Any],
    advice: str,
) -> None:
    host, port = service.address
    hook = {"name": "hook", "kind": "remote", "host": host, "port": port} | listens
    local = {"name": "local", "local_port": free_port(), "host": host, "port": port}
    with Sshd(options=options) as sshd:
        sshd.authorize(make_key(tmp_path))
        with session(sshd, tmp_path, hook, local) as whole:
            whole.connect()
            now = whole.until(all_answered)
            refused, fine = now.forwards
            assert (refused.is_up, fine.is_up, fine.problem) == (False, True, None)
            assert refused.problem is not None
            assert "refused to listen on" in refused.problem.title
            assert advice in refused.problem.advice
            answers(tcp(port_of(local)))
            whole.off()


def test_a_taken_port_at_the_server(sshd: Sshd, tmp_path: Path) -> None:
    # Its localhost has two addresses, and sshd is content with one.
    port = free_port()
    with (
        socket.create_server(("127.0.0.1", port)),
        socket.create_server(("::1", port), family=socket.AF_INET6),
    ):
        hook = {"name": "hook", "kind": "remote", "remote_port": port, "port": 1}
        with session(sshd, tmp_path, hook) as whole:
            whole.connect()
            (refused,) = whole.until(all_answered).forwards
            assert refused.problem is not None
            assert refused.problem.title == f"127.0.0.1 refused to listen on port {port}"
            whole.off()


def test_a_remote_forward_on_every_address_of_the_server(tmp_path: Path, service: Service) -> None:
    host, port = service.address
    remote = free_port()
    hook = {"name": "hook", "kind": "remote", "remote_port": remote, "host": host, "port": port}
    with Sshd(options={"GatewayPorts": "clientspecified"}) as sshd:
        sshd.authorize(make_key(tmp_path))
        with session(sshd, tmp_path, hook | {"bind_address": "*"}) as whole:
            whole.connect()
            (forward,) = whole.until(all_answered).forwards
            assert (forward.listens, forward.problem) == (f"{sshd.host}:{remote}", None)
            answers(tcp(remote))
            answers(socket.create_connection(("127.0.0.2", remote), LIMIT))
            whole.off()


def test_nobody_behind_a_remote_forward(sshd: Sshd, tmp_path: Path) -> None:
    remote = free_port()
    hook = {"name": "hook", "kind": "remote", "remote_port": remote, "port": free_port()}
    with session(sshd, tmp_path, hook) as whole:
        whole.connect()
        whole.until(all_answered)
        for _ in range(3):
            with tcp(remote) as client:
                assert client.recv(1) == b""
        assert whole.until(lambda _: True).state is State.UP
        whole.off()


def test_many_at_once_through_a_remote_forward(
    sshd: Sshd, tmp_path: Path, service: Service
) -> None:
    host, port = service.address
    remote = free_port()
    hook = {"name": "hook", "kind": "remote", "remote_port": remote, "host": host, "port": port}
    with session(sshd, tmp_path, hook) as whole:
        whole.connect()
        whole.until(all_answered)
        clients = [tcp(remote) for _ in range(50)]
        for client in clients:
            answers(client)
        whole.off()


@pytest.mark.parametrize("said", ["socket", "auto"])
def test_a_jupyter_on_a_unix_socket_is_found_with_its_token(tmp_path: Path, said: str) -> None:
    path = tmp_path / "lab.sock"
    jupyter = {"socket": str(path)} if said == "socket" else {"port": "auto"}
    with (
        JupyterOnSocket(path) as running,
        Sshd(options={"SetEnv": f"JUPYTER_RUNTIME_DIR={running.runtime_dir}"}) as sshd,
    ):
        sshd.authorize(make_key(tmp_path))
        with session(sshd, tmp_path, jupyter=jupyter) as whole:
            whole.connect()
            now = whole.until_ready()
            assert (now.level, now.problem) == (Level.LOGGED_IN, None)
            assert now.page is not None
            with urllib.request.urlopen(f"{now.page.link}", timeout=LIMIT) as answer:
                assert b"JupyterLab" in answer.read()
            whole.off()


def test_a_jupyter_on_a_unix_socket_that_goes_is_named_by_its_path(
    sshd: Sshd, tmp_path: Path
) -> None:
    path = tmp_path / "lab.sock"
    with (
        JupyterOnSocket(path) as jupyter,
        session(sshd, tmp_path, jupyter={"socket": str(path)}) as whole,
    ):
        whole.connect()
        now = whole.until_ready()
        assert now.level is Level.LOGGED_IN
        assert now.problem is None
        jupyter.stop()
        whole.manager.woke()
        now = whole.until(lambda now: not now.is_ready)
        assert now.problem is not None
        assert str(path) in now.problem.title
        # Once a search has shown that it is not elsewhere.
        told = whole.until(
            lambda now: now.problem is not None and f"--sock={path}" in now.problem.advice
        )
        assert told.state is State.UP
        whole.off()
