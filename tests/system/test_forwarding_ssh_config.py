"""Forwards that only ssh_config(5) names, in a session over OpenSSH's sshd."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.forwarding import (
    Service,
    answers,
    by_socks,
    tcp,
)
from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.sshd import Sshd
from tests.support.tunnel_kit import nothing_left, until
from tests.support.unix_service import unix_dial, unix_echo
from tests.support.whole import Whole
from trayconnect.config.forward_syntax import Kind
from trayconnect.config.model import Server
from trayconnect.core.command import Command
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.sessions.state import State
from trayconnect.ssh.config.ssh_config import SshConfig


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    with nothing_left():
        yield


class Alias:
    """A server that the file knows by its Host alias `gpu` alone."""

    def __init__(self, sshd: Sshd, folder: Path) -> None:
        self.file = folder / "ssh_config"
        self._sshd = sshd
        self._head = (
            "Host gpu",
            f"HostName {sshd.host}",
            f"Port {sshd.port}",
            f"User {sshd.username}",
            f"IdentityFile {folder / 'id_ed25519'}",
        )

    def session(self, *lines: str, **changes: Any) -> Whole:
        self.file.write_text("\n".join((*self._head, *lines)) + "\n")
        self.file.chmod(0o600)
        fields = {"name": "GPU box", "host": "gpu", "local_port": free_port()}
        server = Server.model_validate(fields | {"jupyter": {"port": 1}} | changes)
        return Whole(
            server,
            known_hosts=self._sshd.known_hosts_lines(),
            ssh_config=lambda: SshConfig(self.file),
        )


@pytest.fixture
def alias(tmp_path: Path) -> Iterator[Alias]:
    with Sshd() as sshd:
        sshd.authorize(make_key(tmp_path))
        yield Alias(sshd, tmp_path)


def is_settled(now: Snapshot) -> bool:
    """Whether every forward is up, or has a reason not to be."""
    return now.state is State.UP and all(one.is_up or one.problem for one in now.forwards)


def refuses(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) != 0


def test_each_kind_leads_there_and_does_so_again_after_a_loss(
    tmp_path: Path, service: Service
) -> None:
    host, port = service.address
    near, far = tmp_path / "near", tmp_path / "far"
    local, proxy, remote, own = (free_port() for _ in range(4))
    lines = (
        f"LocalForward {local} {host}:{port}",
        f"LocalForward {near} {far}",
        f"RemoteForward {remote} {host}:{port}",
        "RemoteForward 9",
        f"DynamicForward {proxy}",
        "ForwardAgent yes",
    )
    by_file = {"name": "by file", "local_port": own, "host": host, "port": port}
    with Sshd() as sshd, unix_echo(far):
        sshd.authorize(make_key(tmp_path))
        with Alias(sshd, tmp_path).session(*lines, forwards=[by_file]) as whole:
            assert [one.name for one in whole.until(lambda _: True).forwards] == ["by file"]
            whole.connect()
            now = whole.until(is_settled)
            told = {one.name: one for one in now.forwards}
            assert {
                f"{kind}Forward {port}"
                for kind, port in (("Local", local), ("Remote", remote), ("Dynamic", proxy))
            } < told.keys()
            assert [one.problem for one in now.forwards] == [None] * 5
            assert [one.name for one in now.forwards if not one.is_of_ssh] == ["by file"]
            assert told[f"DynamicForward {proxy}"].kind is Kind.DYNAMIC
            assert now.notes == (
                "gpu: ForwardAgent is ignored: trayconnect does not forward the agent",
                (
                    "gpu: RemoteForward 9 is not opened: trayconnect offers no SOCKS proxy at "
                    "the server"
                ),
            )

            def all_lead_there() -> None:
                for client in (
                    tcp(own),
                    tcp(local),
                    unix_dial(near),
                    by_socks(proxy, ("localhost", port)),
                    tcp(remote),
                ):
                    answers(client)

            all_lead_there()
            sshd.kill_sessions()
            whole.until(lambda later: is_settled(later) and later.attempt > now.attempt)
            all_lead_there()
            off = whole.off()
            assert ([one.name for one in off.forwards], off.notes) == (["by file"], ())
            assert all(map(refuses, (own, local, proxy)))
            assert not near.exists()
            assert until(lambda: refuses(remote))


def test_a_restart_reads_it_again(alias: Alias, service: Service) -> None:
    host, port = service.address
    first, second = free_port(), free_port()
    with alias.session(f"LocalForward {first} {host}:{port}") as whole:
        whole.connect()
        whole.until(is_settled)
        text = alias.file.read_text()
        alias.file.write_text(text.replace(str(first), str(second)))
        whole.manager.do(Command("reconnect", "GPU box"))
        wanted = [f"LocalForward {second}"]
        whole.until(lambda now: is_settled(now) and [f.name for f in now.forwards] == wanted)
        assert refuses(first)
        answers(tcp(second))
        whole.off()


def test_a_taken_port_costs_only_itself(alias: Alias, service: Service) -> None:
    host, port = service.address
    local = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        lines = (f"LocalForward {number} {host}:{port}", f"LocalForward {local} {host}:{port}")
        with alias.session(*lines) as whole:
            whole.connect()
            now = whole.until(is_settled)
            refused, fine = now.forwards
            assert (refused.is_up, fine.is_up, fine.problem) == (False, True, None)
            assert refused.problem is not None
            assert f"Local port {number} of GPU box is taken by" in refused.problem.title
            assert "Your SSH configuration asks for it" in refused.problem.advice
            assert now.problem != refused.problem
            answers(tcp(local))
            assert whole.questions == []
            whole.off()


def test_an_address_of_another_computer_costs_only_itself(alias: Alias) -> None:
    with alias.session("LocalForward 192.0.2.7:5000 localhost:1") as whole:
        whole.connect()
        (refused,) = whole.until(is_settled).forwards
        assert refused.problem is not None
        assert "192.0.2.7" in refused.problem.title
        whole.off()


def test_a_port_that_the_server_refuses_costs_only_itself(tmp_path: Path) -> None:
    with Sshd(options={"AllowTcpForwarding": "local"}) as sshd:
        sshd.authorize(make_key(tmp_path))
        with Alias(sshd, tmp_path).session("RemoteForward 9000 localhost:1") as whole:
            whole.connect()
            now = whole.until(is_settled)
            (refused,) = now.forwards
            assert refused.problem is not None
            assert "refused to listen on" in refused.problem.title
            assert now.problem != refused.problem
            whole.off()


def test_what_ssh_refuses_is_told_as_by_ssh(alias: Alias) -> None:
    with alias.session("LocalForward nonsense") as whole:
        whole.connect()
        failed = whole.until_state(State.FAILED)
        assert failed.problem is not None
        assert f"{alias.file} line 6" in failed.problem.title
        whole.off()


def test_stop_ends_a_resolution_that_hangs(alias: Alias, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    with alias.session(f'Match exec "echo > {begun}; exec sleep 600"') as whole:
        whole.connect()
        with begun.open() as pipe:
            pipe.read()
        whole.off()


def test_nothing_is_asked_before_the_start(alias: Alias, tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    with alias.session() as whole:
        alias.file.write_text(f'Match exec "echo x >> {asked}"\n' + alias.file.read_text())
        whole.until_state(State.OFF)
        assert not asked.exists()
        whole.connect()
        whole.until_state(State.UP)
        # Listeners and login go by the same answer.
        assert asked.read_text() == "x\n"
        whole.off()


def test_a_banner_is_kept_while_it_is_up(tmp_path: Path) -> None:
    banner = tmp_path / "banner"
    banner.write_text("Maintenance on Sunday.\n")
    with Sshd(options={"Banner": str(banner)}) as sshd:
        sshd.authorize(make_key(tmp_path))
        with Alias(sshd, tmp_path).session() as whole:
            whole.connect()
            assert "Maintenance on Sunday." in whole.until_state(State.UP).banner
            assert whole.off().banner == ""
