"""Commands that run in another network than the SSH server prove nothing about its forwards; all
others do. A real sshd."""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.forwarding import LIMIT, no_leaks
from tests.support.keys import make_key
from tests.support.ports import free_port
from tests.support.sshd import Sshd, system_user
from tests.support.strangers import Listener, person
from tests.support.tunnel_kit import Kit, entry, give_options
from trayconnect.core.endpoints import TcpEndpoint
from trayconnect.core.link import Link, NotOursError, Owner

pytestmark = [
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0, reason="only root can make a network"
    )
]

UNKNOWN = "UNKNOWN 65535 UNKNOWN 65535"
"""What sshd says of its connection if it has none of IP."""

_NETWORK = """
import os, socket, subprocess, sys
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
address = ("127.0.0.1", int(sys.argv[1]))
listener = socket.create_server(address)
client = socket.create_connection(address)
served = listener.accept()
# As sshd's, but for the addresses.
ssh = socket.create_server(("127.0.0.9", int(sys.argv[2])))
other = socket.socket()
other.bind(("127.0.0.8", int(sys.argv[3])))
other.connect(("127.0.0.9", int(sys.argv[2])))
os.write(1, b"!")
sys.stdin.read()
"""


class Elsewhere(NamedTuple):
    """Another network, where a port is the account's own, with a connection of its own; here the
    same port is a stranger's."""

    port: int
    enter: str
    """A command that runs another one there."""
    lookalike: str
    """The addresses of another connection, at the ports of one that is there."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    port, near, far = (free_port() for _ in range(3))
    program = ["unshare", "--net", sys.executable, "-c", _NETWORK, *map(str, (port, near, far))]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        if other.stdout.read(1) != b"!":
            pytest.skip("no network of its own can be had")
        enter = f"nsenter --net=/proc/{other.pid}/ns/net"
        yield Elsewhere(port, enter, f"192.0.2.7 {far} 127.0.0.1 {near}")
        other.kill()


@pytest.fixture(scope="module")
def eve() -> Iterator[int]:
    with person() as uid:
        yield uid


@pytest.fixture
def sshd() -> Iterator[Sshd]:
    with Sshd() as server:
        server.folder.chmod(0o711)
        yield server


@contextlib.contextmanager
def tunnel_of(
    sshd: Sshd,
    folder: Path,
    *,
    command: str = "",
    username: str = "",
    port: int = 0,
    gate: Sshd | None = None,
) -> Iterator[Link]:
    """`command`: runs the client's commands, as ForceCommand. `port`: the server's, if it does not
    listen itself. `gate`: a jump host."""
    if command:
        sshd.set_option("ForceCommand", command)
        sshd.restart()
    sshd.port = port or sshd.port
    key = make_key(folder)
    kit = Kit(folder)
    jumps = []
    for each in filter(None, (sshd, gate)):
        each.authorize(key)
        each.authorized_keys.chmod(0o644)
        kit.trust(each.known_hosts_lines())
    if gate is not None:
        jumps.append(f"{gate.username}@{gate.host}:{gate.port}")
    name = username or sshd.username
    server = entry(sshd.port, identity_file=key, username=name, jump_hosts=jumps)
    with no_leaks(), kit.tunnel(server) as tunnel:
        yield tunnel


def owner(tunnel: Link, port: int, *, named: bool = False) -> Owner:
    """The owner of a listener that a channel was opened to, or to which none was."""
    target = TcpEndpoint("127.0.0.1", port)
    try:
        stream, found = tunnel.open_own_channel(target, ("127.0.0.1", 0), named=named)
    except NotOursError as error:
        return error.owner
    stream.close()
    return found


@pytest.mark.parametrize(
    ("variable", "run"),
    [
        pytest.param(None, '{enter} sh -c "$SSH_ORIGINAL_COMMAND"', id="another-network"),
        pytest.param("", '{enter} sh -c "$SSH_ORIGINAL_COMMAND"', id="no-variable"),
        pytest.param(UNKNOWN, '{enter} sh -c "$SSH_ORIGINAL_COMMAND"', id="unknown"),
        pytest.param(
            UNKNOWN, "{enter} sh -c 'sh -c \"$SSH_ORIGINAL_COMMAND\"; :'", id="unknown-and-a-shell"
        ),
        pytest.param(
            UNKNOWN,
            "sh -c '{enter} sh -c \"$SSH_ORIGINAL_COMMAND\"; :'",
            id="unknown-behind-a-shell",
        ),
        pytest.param("odd", '{enter} sh -c "$SSH_ORIGINAL_COMMAND"', id="odd"),
        pytest.param("{lookalike}", '{enter} sh -c "$SSH_ORIGINAL_COMMAND"', id="same-ports"),
    ],
)
def test_commands_in_another_network_prove_nothing(
    sshd: Sshd, elsewhere: Elsewhere, eve: int, tmp_path: Path, variable: str | None, run: str
) -> None:
    words = elsewhere._asdict()
    change = ""
    if variable is not None:
        value = shlex.quote(f"SSH_CONNECTION={variable.format(**words)}")
        change = f"env {value} " if variable else "env -u SSH_CONNECTION "
    with Listener(eve, f"127.0.0.1:{elsewhere.port}") as theirs:
        with tunnel_of(sshd, tmp_path, command=f"exec {change}{run.format(**words)}") as tunnel:
            assert owner(tunnel, elsewhere.port) is Owner.UNKNOWN
            assert tunnel.owner(TcpEndpoint("localhost", elsewhere.port)) is Owner.UNKNOWN
        assert theirs.end() == b""


def test_nor_does_a_server_without_a_connection_whose_commands_run_there(
    sshd: Sshd,
    elsewhere: Elsewhere,
    eve: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    through_a_pipe(monkeypatch, sshd)
    command = f'exec {elsewhere.enter} sh -c "$SSH_ORIGINAL_COMMAND"'
    with (
        Listener(eve, f"127.0.0.1:{elsewhere.port}") as theirs,
        tunnel_of(sshd, tmp_path, command=command) as tunnel,
    ):
        assert owner(tunnel, elsewhere.port) is Owner.UNKNOWN
        assert theirs.end() == b""


def through_a_pipe(monkeypatch: pytest.MonkeyPatch, sshd: Sshd) -> None:
    """A ProxyCommand that runs the server itself."""
    give_options(monkeypatch, proxy_command=shlex.join(sshd.inetd_command))


# --- where commands run beside the server -------------------------------------------------------


@pytest.fixture(scope="module")
def ada() -> Iterator[tuple[str, int]]:
    with system_user() as (name, _):
        yield name, pwd.getpwnam(name).pw_uid


def prove(tunnel: Link, uid: int, stranger: int) -> None:
    port = free_port()
    with Listener(uid, f"127.0.0.1:{port}"):
        assert owner(tunnel, port) is Owner.OURS
    with Listener(stranger, f"127.0.0.1:{port}") as theirs:
        assert owner(tunnel, port, named=True) is Owner.OTHERS
        assert theirs.end() == b""


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("", id="plain"),
        pytest.param('sh -c "$SSH_ORIGINAL_COMMAND"; :', id="behind-a-shell"),
        pytest.param('exec setsid -w sh -c "$SSH_ORIGINAL_COMMAND"', id="a-new-session"),
    ],
)
def test_in_the_servers_network(
    sshd: Sshd, ada: tuple[str, int], eve: int, tmp_path: Path, command: str
) -> None:
    with tunnel_of(sshd, tmp_path, command=command, username=ada[0]) as tunnel:
        prove(tunnel, ada[1], eve)


def test_without_a_connection_of_its_own(
    sshd: Sshd, ada: tuple[str, int], eve: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    through_a_pipe(monkeypatch, sshd)
    with tunnel_of(sshd, tmp_path, username=ada[0]) as tunnel:
        said = tunnel.execute('echo "$SSH_CONNECTION"', b"", LIMIT).stdout.decode()
        assert said.split()[0] == "UNKNOWN"
        prove(tunnel, ada[1], eve)


def test_started_for_each_connection_and_behind_a_jump_host(
    sshd: Sshd, ada: tuple[str, int], eve: int, tmp_path: Path
) -> None:
    """As inetd and the sockets of systemd do."""
    served: list[subprocess.Popen[bytes]] = []

    def serve() -> None:
        while True:
            client, _ = listener.accept()
            with client:
                if not client.recv(1, socket.MSG_PEEK):
                    return
                command = sshd.inetd_command
                served.append(
                    subprocess.Popen(command, stdin=client.fileno(), stdout=client.fileno())
                )

    with socket.create_server(("127.0.0.1", 0)) as listener, Sshd() as gate:
        server = threading.Thread(target=serve)
        server.start()
        address = listener.getsockname()
        try:
            with tunnel_of(sshd, tmp_path, username=ada[0], port=address[1], gate=gate) as tunnel:
                prove(tunnel, ada[1], eve)
        finally:
            socket.create_connection(address).close()
            server.join(LIMIT)
            for process in served:
                process.wait(LIMIT)


def test_a_login_shell_that_hides_the_connection(
    sshd: Sshd, ada: tuple[str, int], tmp_path: Path
) -> None:
    """It is not known where its commands run; a port that the file names is led to."""
    command = 'exec env -i PATH="$PATH" sh -c "$SSH_ORIGINAL_COMMAND"'
    port = free_port()
    with (
        tunnel_of(sshd, tmp_path, command=command, username=ada[0]) as tunnel,
        Listener(ada[1], f"127.0.0.1:{port}"),
    ):
        assert owner(tunnel, port) is Owner.UNKNOWN
        stream, found = tunnel.open_own_channel(
            TcpEndpoint("127.0.0.1", port), ("127.0.0.1", 0), named=True
        )
        stream.close()
        assert found is Owner.UNKNOWN
