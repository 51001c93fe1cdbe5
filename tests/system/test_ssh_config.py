"""Servers named by a Host alias: what ssh_config(5) says of them, with real servers behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.keys import make_key
from tests.support.ssh_opinions import ssh
from tests.support.sshd import Sshd
from tests.support.tunnel_kit import YES, Kit, Losses, User, entry, nothing_left, until
from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, Recovery
from trayconnect.ssh.config.ssh_config import SshConfig
from trayconnect.ssh.target import LoginTarget, targets

RELAY = """\
import socket, sys, threading
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def back():
    while data := peer.recv(65536):
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    sys.stdout.buffer.close()
threading.Thread(target=back, daemon=True).start()
while data := sys.stdin.buffer.raw.read(65536):
    peer.sendall(data)
"""
"""The simplest thing that ProxyCommand can be."""


class Setup:
    """A configuration of SSH, and what is connected with it."""

    def __init__(self, folder: Path, find_ssh: Callable[[], str | None] = ssh) -> None:
        self.file = folder / "ssh_config"
        self.relay = folder / "relay.py"
        self.relay.write_text(RELAY)
        self._find_ssh = find_ssh
        self.kit = Kit(folder, ssh_config=self.ssh_config)

    def ssh_config(self) -> SshConfig:
        return SshConfig(self.file, find_ssh=self._find_ssh)

    def write(self, *lines: str) -> None:
        self.file.write_text("\n".join(lines) + "\n")
        self.file.chmod(0o600)

    @property
    def proxy_command(self) -> str:
        return f"{sys.executable} {self.relay} %h %p"


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


@pytest.fixture
def sshd() -> Iterator[Sshd]:
    with Sshd() as server:
        yield server


@pytest.fixture
def gates() -> Iterator[list[Sshd]]:
    with Sshd() as first, Sshd() as second:
        yield [first, second]


def alias(name: str = "gpu", **options: object) -> Server:
    return Server.model_validate(
        {"name": "GPU box", "host": name, "local_port": 18888, "auth": {}} | options
    )


def log_in_key(folder: Path, server: Sshd, name: str = "id_own") -> Path:
    key = make_key(folder, name=name)
    server.authorize(key)
    return key


def test_an_alias(setup: Setup, sshd: Sshd, tmp_path: Path) -> None:
    key = log_in_key(tmp_path, sshd)
    key.rename(tmp_path / "gpu_id")
    setup.write(
        "Host gpu",
        f"  HostName {sshd.host}",
        f"  Port {sshd.port}",
        f"  User {sshd.username}",
        f"  IdentityFile {tmp_path}/missing",
        f"  IdentityFile {tmp_path}/%n_id",
        "  LocalForward 6006 localhost:6006",
        "  ForwardAgent yes",
    )
    setup.kit.trust(sshd.known_hosts_lines())
    with nothing_left(), setup.kit.tunnel(alias()) as tunnel:
        assert tunnel.execute("echo hi", b"", 20).stdout == b"hi\n"
        assert not tunnel.typed_login
    added = setup.kit.connector.resolve(alias(), CancelToken()).additions
    assert [(one.name, one.local_port) for one in added.forwards] == [("LocalForward 6006", 6006)]
    assert added.notes == ("gpu: ForwardAgent is ignored: trayconnect does not forward the agent",)


def _targets(setup: Setup, server: Server) -> tuple[LoginTarget, ...]:
    config = setup.ssh_config()
    return targets(server, lambda query: config.host(query, CancelToken()))


def test_what_the_entry_says_wins(setup: Setup, sshd: Sshd, tmp_path: Path) -> None:
    key = log_in_key(tmp_path, sshd)
    setup.write(
        "Host gpu",
        "  HostName 127.0.0.1",
        "  Port 1",
        "  User nobody-here",
        f"  IdentityFile {tmp_path}/missing",
        "  ProxyCommand false",
    )
    setup.kit.trust(sshd.known_hosts_lines())
    server = alias(
        port=sshd.port,
        username=sshd.username,
        jump_hosts=[],
        auth={"identity_file": str(key)},
    )
    with nothing_left(), setup.kit.tunnel(server) as tunnel:
        assert tunnel.execute("true", b"", 20).status == 0


def test_two_real_hops_each_with_its_own_key(
    setup: Setup, sshd: Sshd, gates: list[Sshd], tmp_path: Path
) -> None:
    servers = {"gpu": sshd, "near": gates[0], "far": gates[1]}
    lines = []
    for name, server in servers.items():
        key = log_in_key(tmp_path, server, f"id_{name}")
        lines += [
            f"Host {name}",
            f"  HostName {server.host}",
            f"  Port {server.port}",
            f"  IdentityFile {key}",
            "  IdentitiesOnly yes",
        ]
    # gpu is reached through far, which is reached through near.
    setup.write("Host gpu", "  ProxyJump far", "Host far", "  ProxyJump near", *lines)
    user = User(YES, YES, YES)
    with nothing_left(), setup.kit.tunnel(alias(), user) as tunnel:
        assert tunnel.execute("echo hi", b"", 20).stdout == b"hi\n"
        for server in servers.values():
            assert server.log_text().count("Accepted publickey") == 1
    shown = [question.message for question in user.questions]
    assert [f"127.0.0.1:{gate.port} (jump host of “GPU box”)" in text
            for gate, text in zip(gates, shown, strict=False)] == [True, True]  # fmt: skip
    assert f"127.0.0.1:{sshd.port} (“GPU box”)" in shown[2]


def test_jump_hosts_of_the_entry_may_be_aliases(
    setup: Setup, sshd: Sshd, gates: list[Sshd], tmp_path: Path
) -> None:
    gate = gates[0]
    own, other = log_in_key(tmp_path, sshd), log_in_key(tmp_path, gate, "id_gate")
    setup.write(
        "Host gate",
        f"  HostName {gate.host}",
        f"  Port {gate.port}",
        f"  IdentityFile {other}",
        "  ProxyJump none",  # the nearest hop's own counts, as with ssh -J
        "Host *",
        f"  IdentityFile {own}",
        "  ProxyJump wrong.invalid",
    )
    setup.kit.trust([*sshd.known_hosts_lines(), *gate.known_hosts_lines()])
    server = alias(sshd.host, port=sshd.port, jump_hosts=["gate"])
    with nothing_left(), setup.kit.tunnel(server) as tunnel:
        assert tunnel.execute("true", b"", 20).status == 0


def test_a_proxy_command(setup: Setup, sshd: Sshd, tmp_path: Path) -> None:
    key = log_in_key(tmp_path, sshd)
    setup.write(
        "Host gpu",
        f"  HostName {sshd.host}",
        f"  Port {sshd.port}",
        f"  IdentityFile {key}",
        f"  ProxyCommand {setup.proxy_command}",
    )
    setup.kit.trust(sshd.known_hosts_lines())
    losses = Losses()
    with nothing_left():
        with setup.kit.tunnel(alias(), losses=losses) as tunnel:
            assert tunnel.execute("cat", b"x" * 300_000, 30).stdout == b"x" * 300_000
            assert _children(setup.relay)
        assert not _children(setup.relay)
    assert losses.problems == []


def test_ssh_w_as_a_proxy_command(
    setup: Setup, sshd: Sshd, gates: list[Sshd], tmp_path: Path
) -> None:
    gate = gates[0]
    own, other = log_in_key(tmp_path, sshd), log_in_key(tmp_path, gate, "id_gate")
    known = tmp_path / "gate_known_hosts"
    known.write_text("\n".join(gate.known_hosts_lines()) + "\n")
    setup.write(
        "Host gpu",
        f"  HostName {sshd.host}",
        f"  Port {sshd.port}",
        f"  IdentityFile {own}",
        f"  ProxyCommand ssh -F none -o UserKnownHostsFile={known} -i {other} -p {gate.port} "
        f"-W %h:%p {gate.host}",
    )
    setup.kit.trust(sshd.known_hosts_lines())
    with nothing_left(), setup.kit.tunnel(alias()) as tunnel:
        assert tunnel.execute("echo hi", b"", 20).stdout == b"hi\n"
        assert gate.log_text().count("Accepted publickey") == 1


def test_a_killed_proxy_command_is_noticed(setup: Setup, sshd: Sshd, tmp_path: Path) -> None:
    key = log_in_key(tmp_path, sshd)
    setup.write(
        f"Host gpu\n  HostName {sshd.host}\n  Port {sshd.port}\n  IdentityFile {key}",
        f"  ProxyCommand {setup.proxy_command}",
    )
    setup.kit.trust(sshd.known_hosts_lines())
    losses = Losses()
    with nothing_left(), setup.kit.tunnel(alias(), losses=losses):
        for pid in _children(setup.relay):
            os.kill(pid, signal.SIGKILL)
        problem = losses.wait()
    assert (
        problem.title
        == f"The ProxyCommand for 127.0.0.1 ({Path(sys.executable).name}) was ended by signal 9"
    )
    assert problem.recovery is Recovery.RETRY


@pytest.mark.parametrize(
    ("command", "title", "words", "recovery"),
    [
        ("sh -c 'echo no route >&2; exit 3'", "ended with status 3", "no route", Recovery.RETRY),
        ("no-such-program-here", "ended with status 127", "not found", Recovery.NETWORK),
        ("true", "ended with status 0", "It said nothing", Recovery.RETRY),
    ],
)
def test_a_proxy_command_that_fails(
    setup: Setup, command: str, title: str, words: str, recovery: Recovery
) -> None:
    setup.write("Host gpu", f"  ProxyCommand {command}")
    with nothing_left():
        problem = setup.kit.problem(alias())
    assert problem.title.startswith("The ProxyCommand for gpu (")
    assert problem.title.endswith(f") {title}")
    assert words in problem.advice
    assert problem.recovery is recovery


def test_a_silent_proxy_command_is_given_up(setup: Setup) -> None:
    setup.write("Host gpu", "  ProxyCommand sleep 1000", "  ConnectTimeout 1")
    with nothing_left():
        problem = setup.kit.problem(alias())
    assert "no SSH answer within 1 s" in problem.title


def test_cancelling_ends_a_proxy_command(setup: Setup) -> None:
    setup.write("Host gpu", "  ProxyCommand sh -c 'trap : TERM; while :; do sleep 0.1; done'")
    cancel = CancelToken()
    with nothing_left():
        timer = threading.Timer(0.5, cancel.set)
        timer.start()
        with pytest.raises(Cancelled):
            setup.kit.connect(alias(), cancel=cancel)
        timer.join()


def test_a_broken_configuration(setup: Setup) -> None:
    setup.write("Host other", "  Port 22", "  Prot 22", "Host gpu")
    problem = setup.kit.problem(alias())
    assert problem.title.startswith(f"{setup.file} line 3: ")
    assert "prot" in problem.title
    assert problem.recovery is Recovery.FIX_FIRST


def test_a_circle_of_jump_hosts(setup: Setup) -> None:
    setup.write("Host a", "  ProxyJump b", "Host b", "  ProxyJump a")
    problem = setup.kit.problem(alias("a"))
    assert problem.title == "The jump hosts of a form a loop"
    assert "a → b → a" in problem.advice


def test_match_exec(tmp_path: Path, sshd: Sshd) -> None:
    key = log_in_key(tmp_path, sshd)
    lines = [
        'Match host gpu exec "true"',
        f"  HostName {sshd.host}",
        f"  Port {sshd.port}",
        "Match host gpu exec false",
        "  User nobody-here",
        "Host gpu",
        f"  IdentityFile {key}",
    ]
    setup = Setup(tmp_path)
    setup.write(*lines)
    setup.kit.trust(sshd.known_hosts_lines())
    with nothing_left(), setup.kit.tunnel(alias()) as tunnel:
        assert tunnel.execute("true", b"", 20).status == 0


def test_a_match_exec_that_hangs_is_ended_on_cancel(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.write('Match exec "sleep 1000.5"', "  Port 1")
    cancel = CancelToken()
    with nothing_left():
        timer = threading.Timer(0.5, cancel.set)
        timer.start()
        with pytest.raises(Cancelled):
            setup.kit.connect(alias(), cancel=cancel)
        timer.join()
    assert until(lambda: not _children("sleep 1000.5"))


@pytest.mark.parametrize(("family", "works"), [("inet", True), ("any", True), ("inet6", False)])
def test_the_address_family(
    setup: Setup, sshd: Sshd, tmp_path: Path, family: str, works: bool
) -> None:
    key = log_in_key(tmp_path, sshd)
    setup.write(
        f"Host gpu\n  HostName localhost\n  Port {sshd.port}\n  IdentityFile {key}",
        f"  AddressFamily {family}",
    )
    setup.kit.trust([line.replace("127.0.0.1", "localhost") for line in sshd.known_hosts_lines()])
    if works:
        with setup.kit.tunnel(alias()) as tunnel:
            assert tunnel.execute("true", b"", 20).status == 0
    else:
        assert setup.kit.problem(alias()).recovery is Recovery.RETRY


def test_the_bind_address(setup: Setup, sshd: Sshd, tmp_path: Path) -> None:
    key = log_in_key(tmp_path, sshd)
    base = f"Host gpu\n  HostName {sshd.host}\n  Port {sshd.port}\n  IdentityFile {key}"
    setup.kit.trust(sshd.known_hosts_lines())
    setup.write(base, "  BindAddress 127.0.0.77")
    with setup.kit.tunnel(alias()) as tunnel:
        shown = tunnel.execute("echo $SSH_CONNECTION", b"", 20).stdout
    assert shown.startswith(b"127.0.0.77 ")
    setup.write(base, "  BindAddress 192.0.2.99")
    problem = setup.kit.problem(alias())
    assert problem.title == "This machine does not have the address 192.0.2.99"


def test_without_any_file_nothing_changes(tmp_path: Path, sshd: Sshd) -> None:
    key = log_in_key(tmp_path, sshd)
    setup = Setup(tmp_path, lambda: None)
    setup.file = Path("none")
    setup.kit.trust(sshd.known_hosts_lines())
    with nothing_left(), setup.kit.tunnel(entry(sshd.port, identity_file=key)) as tunnel:
        assert tunnel.execute("true", b"", 20).status == 0


def _children(words: object) -> set[int]:
    """The processes in whose command line these words stand."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(words) in line:
                found.add(int(folder.name))
    return found
