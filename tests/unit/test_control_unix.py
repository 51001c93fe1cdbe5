"""Clients that don't behave, on a Unix socket."""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import os
import select
import socket
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.control import PATIENCE, nothing_left, serving, short_folder
from trayconnect.control.client import ControlClient, NotRunningError
from trayconnect.control.protocol import REQUEST_MAX, decode_reply, encode_request
from trayconnect.control.server import Limits
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import JSON, Command
from trayconnect.core.errors import ProblemError

if sys.platform == "win32":
    pytest.skip("Python on Windows has no UNIX sockets", allow_module_level=True)
assert sys.platform != "win32"  # for mypy

from trayconnect.control.address import getpeereid, peer_uid  # noqa: E402
from trayconnect.control.transport_unix import UnixTransport  # noqa: E402

PING = Command("ping")
PING_LINE = encode_request(PING)
SOMEONE_ELSE = os.geteuid() + 1


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path, nothing_left():
        yield path


def pong(command: Command, cancel: CancelToken) -> JSON:
    return "pong"


def dial(folder: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(PATIENCE)
    sock.connect(str(folder / "control.sock"))
    return sock


def read_to_end(sock: socket.socket) -> bytes:
    received = b""
    try:
        while chunk := sock.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass  # what it was sent was not all read
    return received


@pytest.mark.parametrize(
    "sent",
    [
        b"\n",
        b"\x00\xff" * 500 + b"\n",
        b"GET / HTTP/1.1\r\n",
        b"x" * REQUEST_MAX + b"\n",
        b"x" * (REQUEST_MAX + 1),
        PING_LINE + PING_LINE,
        PING_LINE + b"x",
        b'{"version":3,"name":["connect"],"server":"","arguments":{}}\n',
    ],
    ids=["empty", "binary", "http", "long", "endless", "twice", "more", "unknown"],
)
def test_what_is_no_request_is_told_so_and_harms_nobody(folder: Path, sent: bytes) -> None:
    with serving(folder, pong):
        with dial(folder) as sock:
            sock.sendall(sent)
            reply = decode_reply(read_to_end(sock))
        assert reply.problem
        assert reply.problem.title == "The request was not understood"
        assert ControlClient(folder).call(PING, PATIENCE).data == "pong"


def test_a_newer_command_learns_that_the_app_is_older(folder: Path) -> None:
    with serving(folder, pong), dial(folder) as sock:
        sock.sendall(b'{"version":4,"what":"news"}\n')
        reply = decode_reply(read_to_end(sock))
    assert reply.problem
    assert "another version" in reply.problem.title
    assert reply.problem.detail == "version 4 instead of 3"


def test_one_that_drips_is_dropped_at_the_deadline(folder: Path) -> None:
    with serving(folder, pong, limits=Limits(request_seconds=0.3)), dial(folder) as sock:
        deadline = time.monotonic() + PATIENCE
        while not select.select([sock], [], [], 0.02)[0]:
            assert time.monotonic() < deadline
            with suppress(ConnectionError):
                sock.sendall(b" ")
        assert read_to_end(sock) == b""


def test_a_request_in_pieces_is_one(folder: Path) -> None:
    with serving(folder, pong), dial(folder) as sock:
        for byte in PING_LINE:
            sock.sendall(bytes([byte]))
        assert decode_reply(read_to_end(sock)).ok


def test_one_that_closes_its_sending_side_still_gets_the_reply(folder: Path) -> None:
    with serving(folder, pong), dial(folder) as sock:
        sock.sendall(PING_LINE)
        sock.shutdown(socket.SHUT_WR)
        assert decode_reply(read_to_end(sock)).data == "pong"


def test_one_that_leaves_in_the_middle_is_forgotten(folder: Path) -> None:
    with serving(folder, pong):
        with dial(folder) as sock:
            sock.sendall(PING_LINE[:10])
            sock.shutdown(socket.SHUT_WR)
            assert read_to_end(sock) == b""
        dial(folder).close()
        assert ControlClient(folder).call(PING, PATIENCE).ok


@pytest.mark.parametrize("sign", ["hangs up", "closes its sending side", "says more"])
def test_a_handler_hears_when_its_client(folder: Path, sign: str) -> None:
    entered, cancelled = threading.Event(), threading.Event()

    def handler(command: Command, cancel: CancelToken) -> JSON:
        entered.set()
        if cancel.wait(PATIENCE):
            cancelled.set()
        return None

    with serving(folder, handler), dial(folder) as sock:
        sock.sendall(PING_LINE)
        assert entered.wait(PATIENCE)
        assert not cancelled.wait(0.05)
        if sign == "hangs up":
            sock.close()
        elif sign == "says more":
            sock.sendall(b"?")
        else:
            sock.shutdown(socket.SHUT_WR)
        assert cancelled.wait(PATIENCE)


def test_one_that_does_not_read_its_reply_is_dropped(folder: Path) -> None:
    def handler(command: Command, cancel: CancelToken) -> JSON:
        return "x" * 3_000_000

    with serving(folder, handler, limits=Limits(reply_seconds=0.2)), dial(folder) as sock:
        sock.sendall(PING_LINE)
        wait_for_hangup(sock)
        assert 0 < len(read_to_end(sock)) < 3_000_000


def test_one_that_does_not_read_its_reply_does_not_delay_stop(folder: Path) -> None:
    def handler(command: Command, cancel: CancelToken) -> JSON:
        return "x" * 3_000_000

    limits = Limits(reply_seconds=10 * PATIENCE, stop_seconds=0.1)
    with serving(folder, handler, limits=limits) as server, dial(folder) as sock:
        sock.sendall(PING_LINE)
        assert select.select([sock], [], [], PATIENCE)[0]
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        stopping.join(PATIENCE)
        assert not stopping.is_alive()


def wait_for_hangup(sock: socket.socket) -> None:
    watched = select.poll()
    watched.register(sock, 0)
    assert watched.poll(PATIENCE * 1000)


def test_another_user_is_refused(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    called = threading.Event()

    def handler(command: Command, cancel: CancelToken) -> JSON:
        called.set()
        return None

    with serving(folder, handler, transport=UnixTransport(uid=SOMEONE_ELSE)), dial(folder) as sock:
        with contextlib.suppress(BrokenPipeError):  # the refusal may be faster
            sock.sendall(PING_LINE)
        assert read_to_end(sock) == b""
    assert not called.is_set()
    assert f"user {os.geteuid()}" in caplog.text


def test_an_app_of_another_user_is_not_spoken_to(folder: Path) -> None:
    called = threading.Event()

    def handler(command: Command, cancel: CancelToken) -> JSON:
        called.set()
        return None

    with serving(folder, handler):
        stranger = ControlClient(folder, transport=UnixTransport(uid=SOMEONE_ELSE))
        with pytest.raises(ProblemError, match="another user"):
            stranger.call(PING, PATIENCE)
    assert not called.is_set()


def test_the_kernel_names_the_peer() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_uid(ours) == os.geteuid()


def test_getpeereid_names_the_peer() -> None:
    """macOS has it in its libc, Debian in the libbsd that openssh-client needs."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        library = ctypes.CDLL("libbsd.so.0" if os.uname().sysname == "Linux" else None)
        assert getpeereid(ours, library) == os.geteuid()
    library = ctypes.CDLL(library._name, use_errno=True)
    with pytest.raises(OSError, match="descriptor"):
        getpeereid(ours, library)


def test_a_stale_socket_is_no_app_and_is_replaced(folder: Path) -> None:
    leave_stale(folder)
    client = ControlClient(folder)
    with pytest.raises(NotRunningError):
        client.call(PING)
    with serving(folder, pong):
        assert client.call(PING, PATIENCE).ok


def leave_stale(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(str(folder / "control.sock"))
        sock.listen()


def test_the_socket_is_the_users_alone(folder: Path) -> None:
    umask = os.umask(0)
    try:
        with serving(folder, pong):
            found = (folder / "control.sock").stat()
            assert stat.S_ISSOCK(found.st_mode)
            assert stat.S_IMODE(found.st_mode) == 0o600
    finally:
        os.umask(umask)
    assert not (folder / "control.sock").exists()


def test_stop_leaves_a_successors_socket_alone(folder: Path) -> None:
    with serving(folder, pong):
        (folder / "control.sock").rename(folder / "moved")
        leave_stale(folder)
    assert (folder / "control.sock").is_socket()


class Impostor:
    """An app that answers each request with given bytes."""

    def __init__(self, folder: Path, answer: bytes) -> None:
        self._answer = answer
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(folder / "control.sock"))
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join(PATIENCE)
        self._socket.close()

    def _serve(self) -> None:
        sock, _ = self._socket.accept()
        with sock:
            sock.recv(65536)
            sock.sendall(self._answer)


@pytest.mark.parametrize(
    ("answer", "title"),
    [
        (b"", "trayconnect hung up without an answer"),
        (b'{"version":1,', "trayconnect hung up without an answer"),
        (b"\xff\xfe\n", "The answer of the running trayconnect makes no sense"),
        (b"{}\n", "The answer of the running trayconnect makes no sense"),
        (
            b'{"version":9}\n',
            "The running trayconnect is of another version than this command",
        ),
    ],
)
def test_an_answer_that_is_none_is_a_problem(folder: Path, answer: bytes, title: str) -> None:
    with Impostor(folder, answer), pytest.raises(ProblemError) as caught:
        ControlClient(folder).call(PING, PATIENCE)
    assert caught.value.problem.title == title
    assert caught.value.problem.advice


def test_an_app_that_does_not_accept_is_given_up_on(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(str(folder / "control.sock"))
        sock.listen(0)
        client = ControlClient(folder)
        with dial(folder):  # its queue is full now
            for _ in range(2):
                with pytest.raises(ProblemError, match="does not answer"):
                    client.call(PING, 0.1)
