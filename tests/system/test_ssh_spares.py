"""Channels that are opened ahead, over a real sshd: nobody gets one that is not the user's, and no
request is lost."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.forwarding import (
    Service,
    a_server,
    answers,
    dial,
    eventually,
    listening,
    no_leaks,
    was_reset,
)
from tests.support.sshd import Sshd
from tests.support.tunnel_kit import Kit
from trayconnect.config.model import Server
from trayconnect.core.endpoints import TcpEndpoint
from trayconnect.core.link import Own
from trayconnect.forwarding.forwarding import LocalForwarding
from trayconnect.ssh import spares
from trayconnect.ssh.ssh_link import SshLink

FEW = 3


class Page(Service):
    """Echoes, and counts the connections that wait for a request."""

    def __init__(self) -> None:
        self.waiting: set[socket.socket] = set()
        self.accepted = 0
        self.lock = threading.Lock()
        super().__init__(self._talk_to)

    def _talk_to(self, sock: socket.socket) -> None:
        with self.lock:
            self.waiting.add(sock)
            self.accepted += 1
        data = sock.recv(4)
        with self.lock:
            self.waiting.discard(sock)
        while data:
            sock.sendall(data)
            data = sock.recv(4)

    def has(self, number: int) -> None:
        eventually(lambda: len(self.waiting) == number, f"{number} waiting connections")

    def hang_up(self) -> None:
        """On those that wait."""
        with self.lock:
            for sock in self.waiting:
                sock.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def page() -> Iterator[Page]:
    with Page() as running:
        yield running


@pytest.fixture
def server(sshd: Sshd, tmp_path: Path) -> Server:
    return a_server(
        host=sshd.host,
        port=sshd.port,
        username=sshd.username,
        auth={"identity_file": str(tmp_path / "id_ed25519")},
        jupyter={"port": "auto"},
    )


@pytest.fixture
def link(
    sshd: Sshd, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SshLink]:
    monkeypatch.setattr(spares, "WORTH_SECONDS", 0.0)
    for limit in ("LEAST", "MOST"):
        monkeypatch.setattr(spares, limit, FEW)
    kit = Kit(tmp_path)
    kit.trust(sshd.known_hosts_lines())
    with no_leaks(), kit.tunnel(server) as made:
        yield made


@pytest.fixture
def forwarding(link: SshLink, server: Server, page: Page) -> Iterator[LocalForwarding]:
    with listening(server) as made:
        made.attach(link)
        made.set_target(Own(TcpEndpoint("127.0.0.1", page.address[1]), named=False))
        yield made


def are_ready(link: SshLink) -> None:
    """Wait until the spare channels are proven, too."""
    pools = link._own_channels._spares._pools
    eventually(lambda: sum(len(each.ready) for each in pools.values()) == FEW, "spare channels")


def test_a_few_wait_after_the_first_connection_and_are_replaced(
    forwarding: LocalForwarding, server: Server, page: Page
) -> None:
    page.has(0)
    for _ in range(2 * FEW):
        answers(dial(server))
        page.has(FEW)


@pytest.mark.parametrize("times", range(3))
def test_no_request_is_lost_when_the_far_end_hangs_up(
    forwarding: LocalForwarding, link: SshLink, server: Server, page: Page, times: int
) -> None:
    """Before the client has sent a byte."""
    answers(dial(server))
    are_ready(link)
    with dial(server) as silent:
        page.has(FEW + 1)
        are_ready(link)
        before = page.accepted
        page.hang_up()
        eventually(lambda: page.accepted > before, "a fresh connection")
        answers(silent)
    answers(dial(server))


def test_another_target_and_the_end_of_the_link_close_them(
    forwarding: LocalForwarding, link: SshLink, server: Server, page: Page
) -> None:
    answers(dial(server))
    page.has(FEW)
    with Page() as other:
        forwarding.set_target(Own(TcpEndpoint("127.0.0.1", other.address[1]), named=False))
        page.has(0)
        answers(dial(server))
        other.has(FEW)
        forwarding.detach()
        link.close()
        other.has(0)


def test_unused_ones_are_closed(
    forwarding: LocalForwarding, server: Server, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spares, "IDLE_SECONDS", 1.1)
    answers(dial(server))
    eventually(lambda: page.waiting, "spare connections")
    page.has(0)


def test_a_listener_that_ends_takes_them_along(
    forwarding: LocalForwarding, server: Server, page: Page
) -> None:
    answers(dial(server))
    page.has(FEW)
    page.close()
    with dial(server) as client:
        assert was_reset(client)
