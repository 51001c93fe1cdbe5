"""A login to a compute node through the live link to a login node."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.batch_cluster import BatchCluster
from tests.support.keys import make_key
from tests.support.tunnel_kit import Kit, Losses, entry, nothing_left, until
from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.endpoints import UnixEndpoint
from trayconnect.core.errors import ProblemError
from trayconnect.core.link import Hop, Owner
from trayconnect.ssh.ssh_link import SshLink

ECHO = """
import os, socket
os.umask(0o77)
listening = socket.socket(socket.AF_UNIX)
listening.bind("/tmp/echo")
listening.listen()
sock, _ = listening.accept()
while data := sock.recv(100):
    sock.sendall(data)
"""
ORIGIN = ("127.0.0.1", 0)


@pytest.fixture(scope="module")
def cluster() -> Iterator[BatchCluster]:
    with BatchCluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def door(cluster: BatchCluster) -> int:
    return cluster.door()


@pytest.fixture
def server(cluster: BatchCluster, door: int) -> Server:
    return entry(door, identity_file=cluster.key, username="alice")


@pytest.fixture
def kit(tmp_path: Path, cluster: BatchCluster, door: int) -> Kit:
    kit = Kit(tmp_path)
    kit.trust([f"[127.0.0.1]:{door} {cluster.host_key}"])
    return kit


def hop(link: SshLink, node: Hop, losses: Losses | None = None) -> SshLink:
    return link.hop(node, cancel=CancelToken(), on_lost=losses or Losses())


def uname(link: SshLink) -> str:
    return link.execute("uname -n", b"", 10).stdout.decode().strip()


def test_a_node_is_a_link_of_its_own(cluster: BatchCluster, kit: Kit, server: Server) -> None:
    with nothing_left(), kit.tunnel(server) as login:
        node = hop(login, Hop("c2", (cluster.host_key,)))
        try:
            assert (uname(login), uname(node)) == ("login1", "c2")
            service = node.start_program(f"exec python3 -c {shlex.quote(ECHO)}", 10)
            until(lambda: node.execute("test -S /tmp/echo", b"", 10).status == 0)
            stream, owner = node.open_own_channel(UnixEndpoint("/tmp/echo"), ORIGIN, named=False)
            assert owner is Owner.OURS
            stream.sendall(b"hello\n")
            assert stream.recv(100) == b"hello\n"
            stream.close()
            until(lambda: service.status == 0)
            service.close()
        finally:
            node.close()
        assert uname(login) == "login1"


def test_the_end_of_the_link_ends_the_hop(cluster: BatchCluster, kit: Kit, server: Server) -> None:
    losses = Losses()
    with nothing_left():
        with kit.tunnel(server) as login:
            node = hop(login, Hop("c1", (cluster.host_key,)), losses)
        assert "was lost" in losses.wait().title
        node.close()


@pytest.mark.parametrize(
    ("host", "trusts", "words"),
    [
        ("c1", "another", "host key"),
        ("c1", "nothing", "The host keys of c1 are unknown"),
        ("c9", "right", "c9"),
    ],
)
def test_a_node_that_is_not_proven_gets_no_login(
    tmp_path: Path,
    cluster: BatchCluster,
    kit: Kit,
    server: Server,
    host: str,
    trusts: str,
    words: str,
) -> None:
    another = make_key(tmp_path).with_suffix(".pub").read_text()
    keys = {"another": (another,), "nothing": (), "right": (cluster.host_key,)}[trusts]
    with nothing_left(), kit.tunnel(server) as login:
        with pytest.raises(ProblemError) as caught:
            hop(login, Hop(host, keys))
        assert words in caught.value.problem.title
        assert uname(login) == "login1"


def test_a_node_that_refuses_the_key_asks_nothing(
    cluster: BatchCluster, kit: Kit, server: Server
) -> None:
    config = cluster.folder / "etc" / "ssh" / "sshd_config"
    before = config.read_text()
    with nothing_left(), kit.tunnel(server) as login:
        config.write_text(f"{before}DenyUsers alice\n")
        reload(cluster, "c1")
        try:
            until(lambda: "c1 refused the login" in refusal(login, cluster))
        finally:
            config.write_text(before)
            reload(cluster, "c1")


def reload(cluster: BatchCluster, host: str) -> None:
    # It is written again once the former signal has been heeded.
    assert until(lambda: cluster.try_run(host, "test", "-s", "/run/sshd.pid").returncode == 0)
    cluster.run(host, "sh", "-c", "kill -HUP $(cat /run/sshd.pid)")


def refusal(login: SshLink, cluster: BatchCluster) -> str:
    try:
        hop(login, Hop("c1", (cluster.host_key,))).close()
    except ProblemError as error:
        return error.problem.title
    return ""
