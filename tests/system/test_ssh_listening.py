"""Remote forwards and UNIX sockets of a tunnel, over OpenSSH, Dropbear and a server that lies."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from tests.support.asyncssh_server import AsyncsshServer
from tests.support.dropbear import Dropbear
from tests.support.keys import make_key
from tests.support.sshd import Sshd, system_user
from tests.support.tunnel_kit import WAIT, Kit, Losses, User, entry, nothing_left, says, until
from tests.support.unix_service import unix_dial, unix_echo
from trayconnect.config.model import Server
from trayconnect.core.endpoints import Endpoint, TcpEndpoint, UnixEndpoint
from trayconnect.core.errors import Problem
from trayconnect.core.link import Incoming, NotOpenedError, Refusal
from trayconnect.ssh.ssh_link import SshLink

ORIGIN = ("127.0.0.1", 50000)
LOCALHOST = "localhost"


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    with nothing_left():
        yield


@pytest.fixture
def server(sshd: Sshd, kit: Kit, tmp_path: Path) -> Server:
    kit.trust(sshd.known_hosts_lines())
    return entry(sshd.port, identity_file=tmp_path / "id_ed25519")


class Taker:
    """Asks a tunnel to listen, notes the answer, and accepts what comes."""

    def __init__(self, tunnel: SshLink, where: Endpoint) -> None:
        self.origins: list[str] = []
        self.sockets: list[socket.socket] = []
        self.answers: list[int | Problem] = []
        self._answered = threading.Event()
        tunnel.listen(where, self._take, self._answer)

    def _answer(self, answer: int | Problem) -> None:
        self.answers.append(answer)
        self._answered.set()

    def _take(self, incoming: Incoming) -> None:
        self.origins.append(incoming.origin)
        near, far = tcp_pair()
        far.setblocking(False)
        incoming.accept(far)
        self.sockets.append(near)

    def answer(self) -> int | Problem:
        assert self._answered.wait(WAIT)
        (answer,) = self.answers
        return answer

    def port(self) -> int:
        answer = self.answer()
        assert isinstance(answer, int)
        return answer

    def socket(self) -> socket.socket:
        """The end here of the next connection."""
        assert until(lambda: bool(self.sockets))
        return self.sockets.pop(0)


def tcp(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), WAIT)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Connected to each other; a reset of one shows at the other."""
    with socket.create_server((LOCALHOST, 0)) as listening:
        near = tcp(listening.getsockname()[1])
        far, _ = listening.accept()
    return near, far


def talk(client: socket.socket, near: socket.socket) -> None:
    """Both ways, and the ends of both."""
    with client, near:
        client.sendall(b"from there")
        assert near.recv(100) == b"from there"
        near.sendall(b"from here")
        assert client.recv(100) == b"from here"
        client.shutdown(socket.SHUT_WR)
        assert near.recv(100) == b""
        near.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b""


# --- OpenSSH --------------------------------------------------------------------------------------


def test_a_port_that_the_server_chooses(kit: Kit, server: Server) -> None:
    with kit.tunnel(server) as tunnel:
        taker = Taker(tunnel, TcpEndpoint(LOCALHOST, 0))
        with tcp(taker.port()) as client:
            near = taker.socket()
            assert taker.origins == [f"127.0.0.1:{client.getsockname()[1]}"]
            talk(client, near)


def test_several_at_once_do_not_mix_up_their_answers(kit: Kit, server: Server) -> None:
    """Nor with those to the heartbeat, which are refusals."""
    with kit.tunnel(server) as tunnel:
        takers = [Taker(tunnel, TcpEndpoint(LOCALHOST, 0)) for _ in range(20)]
        for _ in range(20):
            tunnel.check()
        refused = Taker(tunnel, UnixEndpoint("/nowhere/at/all"))
        ports = [taker.port() for taker in takers]
        assert len(set(ports)) == 20
        assert isinstance(refused.answer(), Problem)
        for port, taker in zip(ports, takers, strict=True):
            talk(tcp(port), taker.socket())


def test_a_unix_socket_at_the_server(kit: Kit, server: Server, tmp_path: Path) -> None:
    path = tmp_path / "hook"
    with kit.tunnel(server) as tunnel:
        taker = Taker(tunnel, UnixEndpoint(str(path)))
        assert taker.answer() == 0
        talk(unix_dial(path), taker.socket())


def test_to_a_unix_socket_at_the_server(kit: Kit, server: Server, tmp_path: Path) -> None:
    path = tmp_path / "service"
    with unix_echo(path), kit.tunnel(server) as tunnel:
        stream = tunnel.open_channel(UnixEndpoint(str(path)), ORIGIN)
        stream.sendall(b"ping")
        assert stream.recv(100) == b"ping"
        stream.shutdown_write()
        assert stream.recv(100) == b""
        stream.close()


def test_why_a_channel_is_not_opened(kit: Kit, server: Server, tmp_path: Path) -> None:
    nobody, nowhere = TcpEndpoint("127.0.0.1", 1), TcpEndpoint("nowhere.invalid", 80)
    for target, refusal in (
        (nobody, Refusal.REFUSED),
        (nowhere, Refusal.UNRESOLVED),
        (UnixEndpoint(str(tmp_path / "nobody")), Refusal.UNREACHABLE),
    ):
        with kit.tunnel(server) as tunnel, pytest.raises(NotOpenedError) as caught:
            tunnel.open_channel(target, ORIGIN)
        assert caught.value.refusal is refusal
        place = target.host if target is nowhere else str(target)
        assert place in caught.value.problem.title


def test_sockets_that_the_administrator_forbids(kit: Kit, tmp_path: Path) -> None:
    with Sshd(options={"AllowStreamLocalForwarding": "no"}) as sshd:
        sshd.authorize(make_key(tmp_path))
        kit.trust(sshd.known_hosts_lines())
        server = entry(sshd.port, identity_file=tmp_path / "id_ed25519")
        with kit.tunnel(server) as tunnel, pytest.raises(NotOpenedError) as caught:
            tunnel.open_channel(UnixEndpoint("/run/x"), ORIGIN)
        # OpenSSH does not tell this from a socket that is not there.
        assert caught.value.refusal is Refusal.UNREACHABLE
        assert "AllowStreamLocalForwarding" in caught.value.problem.advice


def test_a_stream_of_a_lost_tunnel_ends(kit: Kit, server: Server, sshd: Sshd) -> None:
    losses = Losses()
    with kit.tunnel(server, losses=losses) as tunnel:
        taker = Taker(tunnel, TcpEndpoint(LOCALHOST, 0))
        with tcp(taker.port()) as client:
            near = taker.socket()
            client.sendall(b"x")
            assert near.recv(1) == b"x"
            sshd.kill_sessions()
            losses.wait()
            with near, pytest.raises(OSError):
                near.recv(1)


def test_an_arrival_that_is_answered_too_late(kit: Kit, server: Server, sshd: Sshd) -> None:
    arrivals: list[Incoming] = []
    losses = Losses()
    with kit.tunnel(server, losses=losses) as tunnel:
        answers: list[int | Problem] = []
        tunnel.listen(TcpEndpoint(LOCALHOST, 0), arrivals.append, answers.append)
        assert until(lambda: bool(answers))
        port = answers[0]
        assert isinstance(port, int)
        with tcp(port):
            assert until(lambda: bool(arrivals))
            sshd.kill_sessions()
            losses.wait()
            near, far = tcp_pair()
            with near, far, pytest.raises(OSError):
                arrivals[0].accept(far)
            arrivals[0].refuse("too late")


# --- Dropbear -------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="Dropbear knows the accounts of the system only")
def test_dropbear_forwards_ports_and_says_that_it_knows_no_sockets(kit: Kit) -> None:
    with system_user() as (username, password), Dropbear() as dropbear:
        kit.trust([dropbear.known_hosts_line])
        server = entry(dropbear.port, username=username)
        with kit.tunnel(server, User(says(password))) as tunnel:
            taker = Taker(tunnel, TcpEndpoint(LOCALHOST, 0))
            with tcp(taker.port()) as client:
                talk(client, taker.socket())
            refused = Taker(tunnel, UnixEndpoint("/tmp/never"))
            assert isinstance(refused.answer(), Problem)
            with pytest.raises(NotOpenedError) as caught:
                tunnel.open_channel(UnixEndpoint("/tmp/never"), ORIGIN)
            assert "cannot forward to UNIX sockets" in caught.value.problem.title
            with socket.create_server(("127.0.0.1", 0)) as listening:
                stream = tunnel.open_channel(
                    TcpEndpoint("127.0.0.1", listening.getsockname()[1]), ORIGIN
                )
                stream.close()


# --- a server that lies ---------------------------------------------------------------------------


def test_a_server_opens_nothing_that_was_not_asked_for(kit: Kit) -> None:
    with AsyncsshServer() as evil:
        kit.trust([evil.known_hosts_line])
        server = entry(evil.port, username=evil.username)
        with kit.tunnel(server, User(says(evil.password))) as tunnel:
            refused = Taker(tunnel, TcpEndpoint(LOCALHOST, 9000))
            assert isinstance(refused.answer(), Problem)
            (connection,) = evil.connections

            async def open_tcp() -> None:
                await connection.open_connection("localhost", 9000)

            async def open_unix() -> None:
                await connection.open_unix_connection("/run/docker.sock")

            for attempt in (open_tcp, open_unix):
                for _ in range(100):
                    with pytest.raises(asyncssh.ChannelOpenError) as caught:
                        evil.run(attempt())
                    assert caught.value.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED
            assert refused.sockets == []
            assert tunnel._route.end._channels.values() == []
