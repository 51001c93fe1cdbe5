"""A third SSH server beside sshd and asyncssh: dropbear."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dropbear import Account, Dropbear, account
from tests.support.keys import make_key
from tests.support.tunnel_kit import YES, Kit, User, entry, nothing_left, says
from trayconnect.core.endpoints import TcpEndpoint
from trayconnect.core.errors import Cancelled
from trayconnect.core.questions import QuestionKind

pytestmark = pytest.mark.long


@pytest.fixture
def dropbear() -> Iterator[Dropbear]:
    with Dropbear() as server:
        yield server


@pytest.fixture
def ada() -> Iterator[Account]:
    if os.geteuid() != 0:
        pytest.skip("only root can make an account for dropbear")
    with account() as made:
        yield made


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_its_host_key(tmp_path: Path, kind: str) -> None:
    kit = Kit(tmp_path)
    with Dropbear(kind) as dropbear:
        box = entry(dropbear.port, username="nobody-here")
        user = User(YES)
        with nothing_left(), pytest.raises(Cancelled):
            kit.connect(box, user)  # the password is not given
        assert user.kinds == [QuestionKind.HOST_KEY, QuestionKind.PASSWORD]
        assert kit.own_file.read_text().splitlines() == [dropbear.known_hosts_line]
        dropbear.stop()
        # Of the same kind: dropbear offers RSA without having it, and breaks when it is wanted.
        dropbear.replace_host_key(kind)
        dropbear.start()
        user = User(YES)
        problem = kit.problem(box, user)
        assert "has changed" in problem.title
        assert user.questions == []


def test_login_by_key(tmp_path: Path, dropbear: Dropbear, ada: Account) -> None:
    kit = Kit(tmp_path)
    kit.trust([dropbear.known_hosts_line])
    key = make_key(tmp_path)
    ada.authorize(key)
    box = entry(dropbear.port, username=ada.username, identity_file=key)
    with nothing_left(), kit.tunnel(box) as tunnel:
        assert tunnel.execute("id -un", b"", 20).stdout.decode().strip() == ada.username
        transport = tunnel._route.end
        assert transport.kex.startswith("curve25519-sha256")
        assert transport.agreed_on_strict_kex


def test_login_by_password_and_a_forward(tmp_path: Path, dropbear: Dropbear, ada: Account) -> None:
    kit = Kit(tmp_path)
    kit.trust([dropbear.known_hosts_line])
    box = entry(dropbear.port, username=ada.username)
    payload = os.urandom(1 << 20)
    with (
        nothing_left(),
        socket.create_server(("127.0.0.1", 0)) as listener,
        kit.tunnel(box, User(says(ada.password))) as tunnel,
    ):
        target = TcpEndpoint("127.0.0.1", listener.getsockname()[1])
        stream = tunnel.open_channel(target, ("127.0.0.1", 50000))
        peer, _ = listener.accept()
        with peer:
            writer = threading.Thread(target=stream.sendall, args=(memoryview(payload),))
            writer.start()
            received = bytearray()
            while len(received) < len(payload):
                received += peer.recv(1 << 16)
            writer.join()
            assert received == payload
            peer.sendall(b"and back")
            assert stream.recv(8) == b"and back"
        stream.close()


def test_a_wrong_password(tmp_path: Path, dropbear: Dropbear, ada: Account) -> None:
    kit = Kit(tmp_path)
    kit.trust([dropbear.known_hosts_line])
    user = User(says("wrong"))
    with nothing_left(), pytest.raises(Cancelled):  # when asked again
        kit.connect(entry(dropbear.port, username=ada.username), user)
    assert user.kinds == [QuestionKind.PASSWORD] * 2
