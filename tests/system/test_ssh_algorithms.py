"""What is agreed on with real servers, strong and old."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.asyncssh_server import AsyncsshServer
from tests.support.sshd import Options, Sshd
from tests.support.tunnel_kit import Kit, User, entry, give_options, nothing_left, says
from trayconnect.config import algorithms
from trayconnect.core.errors import Recovery
from trayconnect.ssh.ssh_link import SshLink
from trayconnect.ssh.transport.ssh_transport import SshTransport


def agreed(tunnel: SshLink) -> SshTransport:
    """The transport, after it has carried something."""
    assert tunnel.execute("echo there", b"", 20).stdout == b"there\n"
    return tunnel._route.end


def with_options(sshd: Sshd, options: Options) -> None:
    for keyword, value in options.items():
        sshd.set_option(keyword, value)
    sshd.restart()


def test_the_best_that_sshd_has(tmp_path: Path, sshd: Sshd, key: Path) -> None:
    kit = Kit(tmp_path)
    kit.trust(sshd.known_hosts_lines())
    with kit.tunnel(entry(sshd.port, identity_file=key)) as tunnel:
        transport = agreed(tunnel)
        offered = transport.peer_offer["kex_algo_list"]
        assert transport.kex == next(name for name in algorithms.KEX if name in offered)
        assert transport.agreed_on_strict_kex
        assert transport.local_cipher == transport.remote_cipher == "aes128-gcm@openssh.com"


def test_post_quantum_and_strict_with_asyncssh(tmp_path: Path) -> None:
    kit = Kit(tmp_path)
    with AsyncsshServer() as server:
        kit.trust([server.known_hosts_line])
        box = entry(server.port, username=server.username)
        with kit.tunnel(box, User(says(server.password))) as tunnel:
            transport = tunnel._route.end
            assert transport.kex == "mlkem768x25519-sha256"
            assert transport.agreed_on_strict_kex


@pytest.mark.parametrize("kex", [n for n in algorithms.KEX if not n.startswith("mlkem")])
def test_each_key_exchange(tmp_path: Path, sshd: Sshd, key: Path, kex: str) -> None:
    kit = Kit(tmp_path)
    kit.trust(sshd.known_hosts_lines())
    with_options(sshd, {"KexAlgorithms": kex})
    with kit.tunnel(entry(sshd.port, identity_file=key)) as tunnel:
        assert agreed(tunnel).kex == kex


OLD: list[tuple[dict[str, str], list[str]]] = [
    ({"Ciphers": cipher}, [cipher]) for cipher in algorithms.LEGACY_CIPHERS
]
OLD += [({"Ciphers": "aes128-ctr", "MACs": mac}, [mac]) for mac in algorithms.LEGACY_MACS]
OLD += [({"Ciphers": "3des-cbc", "MACs": "hmac-md5"}, ["3des-cbc", "hmac-md5"])]


@pytest.mark.parametrize(("options", "legacy"), OLD, ids=str)
def test_old_algorithms_only_where_the_entry_names_them(
    tmp_path: Path, sshd: Sshd, key: Path, options: dict[str, str], legacy: list[str]
) -> None:
    kit = Kit(tmp_path)
    kit.trust(sshd.known_hosts_lines())
    with_options(sshd, options)
    with nothing_left():
        problem = kit.problem(entry(sshd.port, identity_file=key))
    assert "too old" in problem.title
    assert problem.recovery is Recovery.NETWORK
    line = problem.advice.splitlines()[-1].strip()
    assert line == f"legacy: [{', '.join(legacy)}]"
    with kit.tunnel(entry(sshd.port, identity_file=key, legacy=legacy)) as tunnel:
        transport = agreed(tunnel)
        assert {transport.local_cipher, transport.local_mac} >= set(legacy)


@pytest.mark.parametrize(
    ("options", "name", "keyword"),
    [
        ({"KexAlgorithms": "sntrup761x25519-sha512@openssh.com"}, "sntrup761", "KexAlgorithms"),
        (
            {"Ciphers": "aes128-ctr", "MACs": "umac-128-etm@openssh.com,hmac-sha1"},
            "umac-128-etm",
            "MACs",
        ),
    ],
)
def test_what_we_lack_is_no_fault_of_the_server(
    tmp_path: Path, key: Path, options: dict[str, str], name: str, keyword: str
) -> None:
    with Sshd(options=options) as sshd:
        problem = Kit(tmp_path).problem(entry(sshd.port, identity_file=key))
    assert problem.title.startswith("trayconnect lacks")
    assert "too old" not in str(problem)
    assert name in problem.advice
    assert f"to {keyword} in its sshd_config" in problem.advice


def test_what_is_allowed_is_not_preferred(tmp_path: Path, sshd: Sshd, key: Path) -> None:
    kit = Kit(tmp_path)
    kit.trust(sshd.known_hosts_lines())
    with_options(sshd, {"Ciphers": "3des-cbc,aes128-ctr", "MACs": "hmac-md5,hmac-sha2-256"})
    legacy = list(algorithms.LEGACY)
    with kit.tunnel(entry(sshd.port, identity_file=key, legacy=legacy)) as tunnel:
        transport = agreed(tunnel)
        assert (transport.local_cipher, transport.local_mac) == ("aes128-ctr", "hmac-sha2-256")


def test_a_jump_host_is_allowed_nothing(tmp_path: Path, sshd: Sshd, key: Path) -> None:
    kit = Kit(tmp_path)
    kit.trust(sshd.known_hosts_lines())
    with_options(sshd, {"Ciphers": "aes128-cbc"})
    jump = f"127.0.0.1:{sshd.port}"
    box = entry(sshd.port, identity_file=key, legacy=["aes128-cbc"], jump_hosts=[jump])
    problem = kit.problem(box)
    assert "too old" in problem.title
    assert "legacy" not in problem.advice


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"ciphers": ("aes256-ctr", "aes128-ctr")}, {"local_cipher": "aes256-ctr"}),
        (
            {
                "macs": ("hmac-sha2-512",),
                "ciphers": ("twofish256-ctr", "aes128-ctr"),
            },
            {"local_mac": "hmac-sha2-512", "local_cipher": "aes128-ctr"},
        ),
        (
            {"host_key_algorithms": ("rsa-sha2-256", "ssh-ed25519")},
            {"host_key_type": "rsa-sha2-256"},
        ),
    ],
)
def test_what_ssh_config_wants(
    tmp_path: Path,
    key: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    expected: dict[str, str],
) -> None:
    give_options(monkeypatch, strict_host_key_checking="no", **options)
    with Sshd(host_key_types=("ed25519", "rsa")) as sshd:
        sshd.authorize(key)
        with Kit(tmp_path).tunnel(entry(sshd.port, identity_file=key)) as tunnel:
            transport = agreed(tunnel)
            assert {name: getattr(transport, name) for name in expected} == expected


def test_ssh_config_that_leaves_nothing(
    tmp_path: Path, sshd: Sshd, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_options(monkeypatch, ciphers=("twofish256-ctr",))
    with nothing_left():
        problem = Kit(tmp_path).problem(entry(sshd.port, identity_file=key))
    assert "Ciphers in your SSH configuration leaves no usable algorithm" in problem.title
    assert "twofish256-ctr" in problem.advice


def test_old_algorithms_of_asyncssh(tmp_path: Path) -> None:
    kit = Kit(tmp_path)
    with AsyncsshServer(encryption_algs=["aes256-cbc"], mac_algs=["hmac-sha1"]) as server:
        kit.trust([server.known_hosts_line])
        problem = kit.problem(entry(server.port, username=server.username))
        assert problem.advice.endswith("legacy: [aes256-cbc, hmac-sha1]")
        box = entry(server.port, username=server.username, legacy=["hmac-sha1", "aes256-cbc"])
        with kit.tunnel(box, User(says(server.password))) as tunnel:
            assert tunnel._route.end.remote_cipher == "aes256-cbc"
