"""Learning the other host keys of a trusted server, from OpenSSH's sshd and from asyncssh."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from tests.support.asyncssh_server import AsyncsshServer
from tests.support.certificates import authority_line, certify
from tests.support.keys import make_key
from tests.support.sshd import Sshd
from tests.support.threads import our_threads
from tests.support.tunnel_kit import (
    YES,
    Kit,
    User,
    entry,
    give_options,
    nothing_left,
    says,
    until,
)
from trayconnect.config.model import Server
from trayconnect.ssh.ssh_link import SshLink


@pytest.fixture
def sshd(key: Path) -> Iterator[Sshd]:
    with Sshd(host_key_types=("ed25519", "ecdsa", "rsa")) as running:
        running.authorize(key)
        yield running


def announced(tunnel: SshLink) -> None:
    """Wait until what the tunnel's end announces is dealt with."""
    (update,) = tunnel._route.updates

    def is_done() -> bool:
        with update._lock:
            return update._thread is not None and not update._thread.is_alive()

    assert until(is_done)


def not_believed(tunnel: SshLink) -> None:
    """Wait for what the tunnel's end announces, which is not even looked at."""
    (update,) = tunnel._route.updates
    assert until(lambda: update._announced is not None)
    assert update._thread is None


def test_the_other_keys_are_learned(sshd: Sshd, server: Server, tmp_path: Path) -> None:
    kit = Kit(tmp_path)
    first, *others = sshd.known_hosts_lines()
    kit.trust([first])
    with nothing_left():
        with kit.tunnel(server):
            assert until(lambda: kit.own_file.exists() and kit.own_file.read_text().count("\n") > 1)
        assert kit.own_file.read_text().splitlines() == others
        assert kit.user_file.read_text() == f"{first}\n"
    sshd.remove_host_key(sshd.host_keys[0])
    sshd.restart()
    with kit.tunnel(server) as tunnel:  # by a key that was learned, without a question
        announced(tunnel)
    assert kit.own_file.read_text().splitlines() == others


def test_after_the_first_question_too(sshd: Sshd, server: Server, tmp_path: Path) -> None:
    kit = Kit(tmp_path)
    with kit.tunnel(server, User(YES)) as tunnel:
        announced(tunnel)
    assert kit.own_file.read_text().splitlines() == sshd.known_hosts_lines()


@pytest.mark.parametrize(
    "lines",
    [
        ["* {key}"],
        ["127.0.0.1 {key}"],
        ["[127.0.0.1]:{port} {key}", "@cert-authority * {key}"],
    ],
)
def test_not_where_the_user_has_other_plans(
    sshd: Sshd, server: Server, tmp_path: Path, lines: list[str]
) -> None:
    kit = Kit(tmp_path)
    key = sshd.known_hosts_lines()[0].partition(" ")[2]
    kit.trust([line.format(key=key, port=sshd.port) for line in lines])
    with kit.tunnel(server) as tunnel:
        announced(tunnel)
    assert not kit.own_file.exists()


def test_not_against_ssh_config(
    sshd: Sshd, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_options(monkeypatch, update_host_keys=False)
    kit = Kit(tmp_path)
    kit.trust(sshd.known_hosts_lines()[:1])
    with kit.tunnel(server) as tunnel:
        not_believed(tunnel)
    assert not kit.own_file.exists()


def test_not_by_a_certificate(sshd: Sshd, server: Server, tmp_path: Path) -> None:
    kit = Kit(tmp_path)
    authority = make_key(tmp_path, name="ca")
    sshd.set_option("HostCertificate", str(certify(authority, sshd.host_keys[0])))
    sshd.restart()
    kit.trust([authority_line("*", authority)])
    with kit.tunnel(server) as tunnel:
        not_believed(tunnel)
    assert not kit.own_file.exists()


def test_not_without_files(
    sshd: Sshd, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_options(monkeypatch, user_known_hosts_files=(), strict_host_key_checking="no")
    kit = Kit(tmp_path)
    with kit.tunnel(server) as tunnel:
        announced(tunnel)
    assert not kit.own_file.exists()


# --- asyncssh -------------------------------------------------------------------------------------


def test_from_asyncssh(tmp_path: Path) -> None:
    kit = Kit(tmp_path)
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    with AsyncsshServer(more_host_keys=[other]) as server:
        kit.trust([server.known_hosts_line])
        box = entry(server.port, username=server.username)
        with kit.tunnel(box, User(says(server.password))) as tunnel:
            announced(tunnel)
        assert kit.own_file.read_text().splitlines() == [server.line_of(other)]


def test_a_key_that_the_server_does_not_hold(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kit = Kit(tmp_path)
    others = [asyncssh.generate_private_key("ecdsa-sha2-nistp256") for _ in range(2)]

    def claim(connection: asyncssh.SSHServerConnection) -> None:
        # It signs with what it has.
        keys = connection._all_server_host_keys
        keys[others[1].public_data] = next(iter(keys.values()))

    with (
        caplog.at_level(logging.WARNING),
        AsyncsshServer(more_host_keys=others[:1], on_connection=claim) as server,
    ):
        kit.trust([server.known_hosts_line])
        box = entry(server.port, username=server.username)
        with kit.tunnel(box, User(says(server.password))) as tunnel:
            announced(tunnel)
    assert "does not hold the ecdsa-sha2-nistp256 key" in caplog.text
    assert not kit.own_file.exists()


def test_a_server_that_proves_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = Kit(tmp_path)
    others = [asyncssh.generate_private_key("ecdsa-sha2-nistp256") for _ in range(2)]

    def silent(connection: asyncssh.SSHServerConnection, _packet: object) -> None:
        """Neither yes nor no."""

    name = "_process_hostkeys_prove_00_at_openssh_dot_com_global_request"
    monkeypatch.setattr(asyncssh.SSHServerConnection, name, silent)
    with nothing_left(), AsyncsshServer(more_host_keys=others[:1]) as server:
        kit.trust([server.known_hosts_line])
        box = entry(server.port, username=server.username)
        with kit.tunnel(box, User(says(server.password))):
            assert until(lambda: any("tc-hostkeys" in name for name in our_threads()))
    assert not kit.own_file.exists()
