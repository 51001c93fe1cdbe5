"""The demo's SSH server: whom it lets in, and to what."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko
import pytest

from tests.support.forwarding import Service, echo
from tests.support.keys import make_key
from tests.support.tunnel_kit import Kit, User, entry, nothing_left, says
from trayconnect.config.model import Server
from trayconnect.core.endpoints import TcpEndpoint
from trayconnect.core.errors import ProblemError, Recovery
from trayconnect.core.questions import QuestionKind
from trayconnect.demo.ssh_server import HOST, USERNAME, SshServer


@dataclass
class Box:
    ssh: SshServer
    kit: Kit
    server: Server


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    environment = {"PATH": os.environ["PATH"], "GREETING": "hello from the demo"}
    with nothing_left(), SshServer(tmp_path, environment) as ssh:
        kit = Kit(tmp_path)
        kit.trust([ssh.known_hosts_line.strip()])
        server = entry(ssh.port, identity_file=ssh.identity_file, username=USERNAME)
        yield Box(ssh, kit, server)


def test_commands_run_for_real(box: Box) -> None:
    with box.kit.tunnel(box.server) as tunnel:
        said = tunnel.execute('cat; echo "$GREETING"; echo oh >&2; exit 7', b"in,", 30.0)
        assert (said.status, said.stdout, said.stderr) == (7, b"in,hello from the demo\n", b"oh\n")


def test_a_script_on_standard_input(box: Box) -> None:
    with box.kit.tunnel(box.server) as tunnel:
        said = tunnel.execute("exec sh", b"echo one; false\necho two $?\n", 30.0)
        assert (said.status, said.stdout) == (0, b"one\ntwo 1\n")


def test_a_lot_of_output_comes_whole(box: Box) -> None:
    with box.kit.tunnel(box.server) as tunnel:
        said = tunnel.execute("head -c 1000000 /dev/zero", b"", 30.0)
        assert (said.status, len(said.stdout)) == (0, 1_000_000)


def test_a_killed_command_has_a_shells_status(box: Box) -> None:
    with box.kit.tunnel(box.server) as tunnel:
        assert tunnel.execute("kill -9 $$", b"", 30.0).status == 128 + 9


def test_a_command_ends_with_its_channel(box: Box, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with box.kit.tunnel(box.server) as tunnel, pytest.raises(ProblemError, match="did not end"):
        tunnel.execute(f"echo $$ > {note}; sleep 600 & wait", b"", 5.0)
    pid = int(note.read_text())
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_forwards_to_loopback(box: Box, host: str) -> None:
    with Service(echo) as service, box.kit.tunnel(box.server) as tunnel:
        port = service._listening.getsockname()[1]
        stream = tunnel.open_channel(TcpEndpoint(host, port), ("127.0.0.1", 0))
        stream.sendall(b"there and back")
        stream.shutdown_write()
        assert stream.recv(100) == b"there and back"
        assert stream.recv(100) == b""
        stream.close()


@pytest.mark.parametrize("host", ["192.0.2.1", "example.org", "0.0.0.0", "127.0.0.2"])
def test_forwards_nowhere_else(box: Box, host: str) -> None:
    with box.kit.tunnel(box.server) as tunnel, pytest.raises(ProblemError, match="forbids"):
        tunnel.open_channel(TcpEndpoint(host, 80), ("127.0.0.1", 0))


def test_another_key_is_refused(box: Box, tmp_path: Path) -> None:
    other = make_key(tmp_path, name="other")
    server = entry(box.ssh.port, identity_file=other, username=USERNAME)
    user = User(says("demo"))
    problem = box.kit.problem(server, user)
    assert problem.recovery is Recovery.USER_ACTION
    assert QuestionKind.PASSWORD not in user.kinds


def test_another_user_is_refused(box: Box) -> None:
    server = entry(box.ssh.port, identity_file=box.ssh.identity_file, username="root")
    assert box.kit.problem(server).recovery is Recovery.USER_ACTION


def test_no_shell_and_no_terminal(box: Box) -> None:
    with socket.create_connection((HOST, box.ssh.port), timeout=30) as sock:
        transport = paramiko.Transport(sock)
        try:
            transport.start_client(timeout=30)
            key = paramiko.Ed25519Key.from_private_key_file(str(box.ssh.identity_file))
            transport.auth_publickey(USERNAME, key)
            channel = transport.open_session(timeout=30)
            channel.settimeout(30)
            with pytest.raises(paramiko.SSHException):
                channel.get_pty()
            channel = transport.open_session(timeout=30)
            channel.settimeout(30)
            channel.invoke_shell()
            assert channel.recv_exit_status() == 1
        finally:
            transport.close()


def test_leaving_ends_live_connections_and_commands(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with nothing_left():
        with SshServer(tmp_path, os.environ) as ssh:
            kit = Kit(tmp_path)
            kit.trust([ssh.known_hosts_line.strip()])
            server = entry(ssh.port, identity_file=ssh.identity_file, username=USERNAME)
            tunnel = kit.connect(server)
            command = f"echo $$ > {note}; exec sleep 600"

            def run() -> None:
                with pytest.raises(ProblemError):
                    tunnel.execute(command, b"", 60.0)

            running = threading.Thread(target=run)
            running.start()
            while not (note.exists() and note.read_text().strip()):
                time.sleep(0.01)
        running.join(30)
        assert not running.is_alive()
        assert not Path(f"/proc/{note.read_text().strip()}").exists()
        tunnel.close()
