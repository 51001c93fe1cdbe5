"""What can go wrong on the way to a server, with the message that it becomes."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.keys import make_key
from tests.support.proxy import FaultyProxy, Peer
from tests.support.sshd import Sshd
from tests.support.threads import our_threads
from tests.support.tunnel_kit import (
    WAIT,
    YES,
    Kit,
    User,
    entry,
    nothing_left,
    until,
)
from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, Recovery
from trayconnect.core.questions import Answer, Question
from trayconnect.ssh.auth.data_types import string


def _http(sock: socket.socket) -> None:
    # Like tornado and many others: an answer only at the end of the request's head.
    data = b""
    while b"\r\n\r\n" not in data and (part := sock.recv(1000)):
        data += part
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def _quick_http(sock: socket.socket) -> None:
    sock.sendall(b"<!DOCTYPE HTML>\n")
    sock.close()


def _smtp(sock: socket.socket) -> None:
    sock.sendall(b"220 mail.example.org ESMTP\r\n")


def _binary(sock: socket.socket) -> None:
    sock.sendall(b"\x15\x03\xff\xfe\n" * 3)


def _silent(sock: socket.socket) -> None:
    pass


def _hang_up(sock: socket.socket) -> None:
    sock.close()


def _full(sock: socket.socket) -> None:
    sock.sendall(b"Exceeded MaxStartups\r\n")
    sock.close()


def _penalty(sock: socket.socket) -> None:
    sock.sendall(b"Not allowed at this time\r\n")
    sock.close()


def _banner_then_gone(sock: socket.socket) -> None:
    sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    sock.recv(1)
    sock.close()


def _endless_line(sock: socket.socket) -> None:
    sock.sendall(b"SSH-2.0-" + b"x" * 100_000)


def _endless_packet(sock: socket.socket) -> None:
    sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" + b"\xff" * 100_000)


def _escapes(sock: socket.socket) -> None:
    sock.sendall(b"SSH-1.5-\x1b]0;title\x07\r\n")


def _ssh1(sock: socket.socket) -> None:
    sock.sendall(b"SSH-1.5-old\r\n")


def _latin_http(sock: socket.socket) -> None:
    sock.sendall(b"HTTP/1.1 302 Trouv\xe9\r\n\r\n")
    sock.close()


def _sends_away(sock: socket.socket) -> None:
    payload = b"\x01" + struct.pack(">I", 2) + string(b"Closed \x1b[2Jfor repair") + string(b"")
    padding = 16 - (len(payload) + 5) % 8
    packet = struct.pack(">IB", 1 + len(payload) + padding, padding) + payload + bytes(padding)
    sock.sendall(b"SSH-2.0-x\r\n" + packet)
    while sock.recv(4096):
        pass  # until it has read that


@pytest.mark.parametrize(
    ("act", "title", "recovery"),
    [
        (_latin_http, "is not an SSH server", Recovery.NETWORK),
        (_sends_away, "closed the connection during the key exchange", Recovery.RETRY),
        (_silent, "no SSH answer", Recovery.RETRY),
        (_http, "is not an SSH server", Recovery.NETWORK),
        (_quick_http, "is not an SSH server", Recovery.NETWORK),
        (_smtp, "is not an SSH server", Recovery.NETWORK),
        (_binary, "is not an SSH server", Recovery.NETWORK),
        (_hang_up, "closed the connection without an SSH answer", Recovery.RETRY),
        (_full, "too busy", Recovery.RETRY),
        (_penalty, "too busy", Recovery.RETRY),
        (_banner_then_gone, "too busy", Recovery.RETRY),
        (_ssh1, "too old", Recovery.NETWORK),
        (_escapes, "too old", Recovery.NETWORK),
        (_endless_line, "is not an SSH server", Recovery.NETWORK),
        (_endless_packet, "protocol error", Recovery.NETWORK),
    ],
)
def test_no_proper_ssh(
    kit: Kit, act: Callable[[socket.socket], None], title: str, recovery: Recovery
) -> None:
    # Only these three are waited for: a busy machine takes its time for the others.
    limit = 4.0 if act in (_silent, _http, _smtp) else WAIT
    with nothing_left(), Peer(act) as peer:
        problem = kit.problem(entry(peer.port, connect_timeout=limit))
    assert title in problem.title
    assert "127.0.0.1" in problem.title
    assert problem.recovery is recovery
    assert problem.wait == (15 if act in (_full, _penalty) else 0)
    assert str(peer.port) in problem.title + problem.advice
    assert f"{problem} {problem.detail}".replace("\n", "").isprintable()
    assert ("web server" in problem.advice) is (act in (_http, _quick_http, _latin_http))
    assert ("The server said: Closed for repair" in problem.advice) is (act is _sends_away)


def test_lines_in_latin_1_before_the_version(tmp_path: Path, key: Path) -> None:
    """OpenSSH passes over them."""
    with Sshd() as sshd:
        sshd.authorize(key)
        greeting = b"Universit\xe9\r\n\xc9cole\r\n"

        def act(sock: socket.socket) -> None:
            sock.sendall(greeting)
            with socket.create_connection((sshd.host, sshd.port)) as far:
                threading.Thread(target=copy, args=(far, sock), daemon=True).start()
                copy(sock, far)

        with Peer(act) as peer:
            kit = Kit(tmp_path)
            lines = sshd.known_hosts_lines()
            kit.trust([one.replace(f":{sshd.port} ", f":{peer.port} ") for one in lines])
            with kit.tunnel(entry(peer.port, identity_file=key)) as tunnel:
                assert tunnel.execute("true", b"", 30).status == 0


def copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_refused(kit: Kit) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with nothing_left():
            problem = kit.problem(entry(taken.getsockname()[1]))
    assert "refused the connection" in problem.title
    assert problem.recovery is Recovery.RETRY


def test_unresolvable(kit: Kit) -> None:
    with nothing_left():
        problem = kit.problem(entry(22, host="no-such-host.invalid"))
    assert problem.title == "Cannot find host no-such-host.invalid"
    assert problem.recovery is Recovery.RETRY


def test_name_with_two_addresses_of_which_one_refuses(kit: Kit, key: Path) -> None:
    with Sshd() as sshd:
        sshd.authorize(key)
        user = User(YES)
        # localhost is ::1 and 127.0.0.1 on most systems; sshd listens on the latter only.
        with kit.tunnel(entry(sshd.port, host="localhost", identity_file=key), user):
            pass


def test_too_old(kit: Kit) -> None:
    with Sshd(options={"KexAlgorithms": "diffie-hellman-group14-sha1"}) as sshd, nothing_left():
        problem = kit.problem(entry(sshd.port))
    assert "too old" in problem.title
    assert "diffie-hellman-group14-sha1" in problem.advice
    assert problem.recovery is Recovery.NETWORK


@pytest.mark.parametrize(
    "options",
    [
        {"Ciphers": "aes128-cbc"},
        {"Ciphers": "aes128-ctr", "MACs": "hmac-sha1"},
    ],
)
def test_weak_ciphers_are_not_agreed_to(kit: Kit, options: dict[str, str]) -> None:
    with Sshd(options=options) as sshd:
        assert "too old" in kit.problem(entry(sshd.port)).title


@pytest.mark.parametrize(
    "options",
    [
        {"Ciphers": "aes128-gcm@openssh.com"},
        {"Ciphers": "aes256-gcm@openssh.com"},
        {"Ciphers": "aes128-ctr", "MACs": "hmac-sha2-256"},
        {"Ciphers": "aes256-ctr", "MACs": "hmac-sha2-512-etm@openssh.com"},
        {"KexAlgorithms": "diffie-hellman-group14-sha256"},
        {"KexAlgorithms": "diffie-hellman-group-exchange-sha256"},
        {"KexAlgorithms": "ecdh-sha2-nistp256"},
    ],
)
def test_good_algorithms(kit: Kit, key: Path, options: dict[str, str]) -> None:
    with Sshd(options=options) as sshd:
        sshd.authorize(key)
        kit.trust(sshd.known_hosts_lines())
        with kit.tunnel(entry(sshd.port, identity_file=key)) as tunnel:
            assert tunnel.execute("cat", b"x" * 100_000, 20).stdout == b"x" * 100_000


def _greeted(sshd: Sshd) -> socket.socket | None:
    sock = socket.create_connection((sshd.host, sshd.port), timeout=WAIT)
    if sock.recv(4) == b"SSH-":
        return sock
    sock.close()
    return None


def test_max_startups(kit: Kit) -> None:
    with Sshd(options={"MaxStartups": "1"}) as sshd:
        # The connection that saw it start may still count for a moment.
        first = _greeted(sshd)
        while first is None:
            first = _greeted(sshd)
        with first:
            problem = kit.problem(entry(sshd.port))
        assert "too busy" in problem.title
        assert problem.recovery is Recovery.RETRY


def test_server_that_allows_fewer_tries(kit: Kit, tmp_path: Path, key: Path) -> None:
    files = tuple(make_key(tmp_path, name=f"other{number}") for number in range(4))
    with Sshd(options={"MaxAuthTries": "2"}) as sshd:
        kit = Kit(tmp_path, identity_files=files)
        kit.trust(sshd.known_hosts_lines())
        problem = kit.problem(entry(sshd.port))
    assert "too many tries" in problem.title
    assert "other0" in problem.advice
    assert problem.recovery is Recovery.USER_ACTION


def test_frozen_server(kit: Kit, key: Path) -> None:
    with Sshd() as sshd:
        sshd.freeze()
        with nothing_left():
            problem = kit.problem(entry(sshd.port, connect_timeout=0.5))
        sshd.thaw()
    assert "no SSH answer" in problem.title
    assert problem.recovery is Recovery.RETRY


@pytest.mark.parametrize("fault", ["blackhole", "stall"])
def test_silence_after_the_banner(kit: Kit, key: Path, fault: str) -> None:
    def act(sock: socket.socket) -> None:
        sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

    with nothing_left(), Peer(act) as peer:
        problem = kit.problem(entry(peer.port, connect_timeout=2.0))
    assert "key exchange within 2 s" in problem.title
    assert problem.recovery is Recovery.RETRY


def test_cut_during_the_question(kit: Kit, key: Path) -> None:
    with nothing_left(), Sshd() as sshd, FaultyProxy(sshd.host, sshd.port) as proxy:
        sshd.authorize(key)

        class Slow(User):
            def __call__(self, question: Question) -> Answer:
                proxy.cut()
                return super().__call__(question)

        problem = kit.problem(entry(proxy.port, identity_file=key), Slow(YES))
        assert "closed the connection during the login" in problem.title
        assert problem.recovery is Recovery.RETRY
        with kit.tunnel(entry(proxy.port, identity_file=key)):
            pass


def test_slow_network(kit: Kit, key: Path) -> None:
    with Sshd() as sshd, FaultyProxy(sshd.host, sshd.port) as proxy:
        sshd.authorize(key)
        proxy.drip(200, 0.002)
        with kit.tunnel(entry(proxy.port, identity_file=key), User(YES)) as tunnel:
            assert tunnel.execute("echo hello", b"", 20).stdout == b"hello\n"
            proxy.heal()


# --- cancelling -------------------------------------------------------------------------------


@pytest.fixture
def blackholes() -> Iterator[int]:
    """A port whose backlog is full: connecting to it hangs."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        clients = [socket.socket() for _ in range(4)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        time.sleep(0.05)
        yield listener.getsockname()[1]
        for client in clients:
            client.close()


def _cancel_promptly(kit: Kit, server: Server, user: User | None = None) -> None:
    """Cancelling ends the attempt long before its limits do."""
    cancel = CancelToken()
    timer = threading.Timer(0.3, cancel.set)
    timer.start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        kit.connect(server, user, cancel=cancel)
    timer.join()
    assert until(lambda: not our_threads()), our_threads()
    assert time.monotonic() - started < WAIT / 2


def test_cancel_during_tcp(kit: Kit, blackholes: int) -> None:
    _cancel_promptly(kit, entry(blackholes, connect_timeout=WAIT))


def test_tcp_timeout(kit: Kit, blackholes: int) -> None:
    problem = kit.problem(entry(blackholes, connect_timeout=0.3))
    assert "did not answer" in problem.title


def test_cancel_during_the_banner(kit: Kit) -> None:
    with Peer(_silent) as peer:
        _cancel_promptly(kit, entry(peer.port, connect_timeout=WAIT))


def test_cancel_during_the_key_exchange(kit: Kit) -> None:
    def act(sock: socket.socket) -> None:
        sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

    with Peer(act) as peer:
        _cancel_promptly(kit, entry(peer.port, connect_timeout=WAIT))


def test_cancel_during_the_login(kit: Kit, key: Path) -> None:
    with Sshd() as sshd:

        class Freeze(User):
            def __call__(self, question: Question) -> Answer:
                sshd.freeze()
                return super().__call__(question)

        server = entry(sshd.port, identity_file=key, connect_timeout=WAIT)
        _cancel_promptly(kit, server, Freeze(YES))
        sshd.thaw()


def test_cancelled_before_it_began(kit: Kit) -> None:
    cancel = CancelToken()
    cancel.set()
    with nothing_left(), pytest.raises(Cancelled):
        kit.connect(entry(1), cancel=cancel)
