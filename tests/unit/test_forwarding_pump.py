"""The pump between two real loopback connections."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.support.forwarding import (
    LIMIT,
    TcpStream,
    eventually,
    fill,
    no_leaks,
    read_all,
    was_reset,
)
from tests.support.systems import resets_sockets
from trayconnect.forwarding.local_client import set_reset_on_close
from trayconnect.forwarding.pump import Pump


def start(job: Callable[[], None]) -> None:
    threading.Thread(target=job, name="tc-download").start()


def no_thread(job: Callable[[], None]) -> None:
    raise RuntimeError("can't start new thread")


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near = socket.create_connection(listening.getsockname(), LIMIT)
        far, _ = listening.accept()
    far.settimeout(LIMIT)
    return near, far


@dataclass
class Line:
    """client <-> pump <-> service"""

    client: socket.socket
    service: socket.socket
    pump: Pump
    thread: threading.Thread


@pytest.fixture
def line() -> Iterator[Line]:
    with no_leaks():
        client, accepted = tcp_pair()
        outgoing, service = tcp_pair()
        outgoing.settimeout(None)
        accepted.setblocking(False)
        pump = Pump(accepted, TcpStream(outgoing), start)
        thread = threading.Thread(target=pump.run, name="tc-forward box")
        thread.start()
        with client, service:
            yield Line(client, service, pump, thread)
        thread.join(LIMIT)
        assert not thread.is_alive()


def ends(line: Line) -> bool:
    line.thread.join(LIMIT)
    return not line.thread.is_alive()


def test_bytes_go_both_ways_and_are_counted(line: Line) -> None:
    line.client.sendall(b"question")
    assert line.service.recv(100) == b"question"
    line.service.sendall(b"the answer")
    assert line.client.recv(100) == b"the answer"
    line.client.close()
    line.service.close()
    assert ends(line)


def test_the_client_finishes_first_and_still_gets_its_answer(line: Line) -> None:
    line.client.sendall(b"request")
    line.client.shutdown(socket.SHUT_WR)
    assert read_all(line.service) == b"request"
    line.service.sendall(b"response")
    line.service.close()
    assert read_all(line.client) == b"response"
    assert ends(line)


def test_the_service_finishes_first_and_still_gets_the_rest(line: Line) -> None:
    line.service.sendall(b"go on")
    line.service.shutdown(socket.SHUT_WR)
    assert read_all(line.client) == b"go on"
    assert line.thread.is_alive()
    line.client.sendall(b"the rest")
    line.client.close()
    assert read_all(line.service) == b"the rest"
    assert ends(line)


@resets_sockets
def test_a_reset_by_the_client_ends_the_far_side(line: Line) -> None:
    line.client.sendall(b"x")
    assert line.service.recv(1) == b"x"
    set_reset_on_close(line.client)
    line.client.close()
    assert ends(line)
    assert read_all(line.service) == b""


@resets_sockets
def test_a_reset_by_the_service_resets_the_client(line: Line) -> None:
    line.client.sendall(b"x")
    assert line.service.recv(1) == b"x"
    set_reset_on_close(line.service)
    line.service.close()
    assert was_reset(line.client)
    assert ends(line)


def test_an_early_answer_reaches_a_client_that_is_still_sending(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trayconnect.forwarding.pump.LINGER", 0.5)
    line.service.sendall(b"413 Too large")
    line.service.shutdown(socket.SHUT_WR)
    line.service.shutdown(socket.SHUT_RD)
    chunk = bytes(65536)

    def keep_sending() -> None:
        try:
            while True:
                line.client.sendall(chunk)
        except OSError:
            pass

    line.client.settimeout(LIMIT)
    sender = threading.Thread(target=keep_sending)
    received = line.client.recv(100)
    sender.start()
    line.service.close()
    assert ends(line)
    sender.join(LIMIT)
    assert not sender.is_alive()
    assert received == b"413 Too large"


class RefusingStream(TcpStream):
    """Takes nothing, and has one thing to say."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.refused = threading.Event()

    def sendall(self, data: bytes | memoryview) -> None:
        self.refused.set()
        raise BrokenPipeError

    def recv(self, size: int) -> bytes:
        assert self.refused.wait(LIMIT)
        return super().recv(size)


@resets_sockets
def test_what_was_said_before_a_refusal_is_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trayconnect.forwarding.pump.LINGER", 0.5)
    with no_leaks():
        client, accepted = tcp_pair()
        outgoing, service = tcp_pair()
        outgoing.settimeout(None)
        pump = Pump(accepted, RefusingStream(outgoing), start)
        thread = threading.Thread(target=pump.run)
        thread.start()
        with client, service:
            client.sendall(b"more than it wants")
            service.sendall(b"413 Too large")
            service.close()
            assert read_all(client) == b"413 Too large"
            thread.join(LIMIT)
            assert not thread.is_alive()


@resets_sockets
@pytest.mark.parametrize("stalled", ["nothing", "the client", "the service", "both"])
def test_abort_ends_it_whatever_it_waits_for(line: Line, stalled: str) -> None:
    if stalled in ("the client", "both"):
        fill(line.service)
    if stalled in ("the service", "both"):
        fill(line.client)
    assert line.thread.is_alive()
    line.pump.abort()
    assert ends(line)
    assert was_reset(line.client)


def test_abort_is_never_taken_for_the_regular_end(line: Line) -> None:
    line.service.sendall(b"the first half")
    assert line.client.recv(100) == b"the first half"
    line.pump.abort()
    assert was_reset(line.client)


def test_abort_before_and_after_is_harmless(line: Line) -> None:
    line.client.close()
    line.service.close()
    assert ends(line)
    line.pump.abort()
    line.pump.abort()


def test_no_more_threads_to_be_had_resets_the_client() -> None:
    with no_leaks():
        client, accepted = tcp_pair()
        outgoing, service = tcp_pair()
        with client, service:
            Pump(accepted, TcpStream(outgoing), no_thread).run()
            assert was_reset(client)
            assert read_all(service) == b""


def test_a_client_gone_before_it_started_is_no_error() -> None:
    with no_leaks():
        client, accepted = tcp_pair()
        outgoing, service = tcp_pair()
        outgoing.settimeout(None)
        set_reset_on_close(client)
        client.close()
        eventually(lambda: is_reset(accepted), "the reset")
        with service:
            Pump(accepted, TcpStream(outgoing), start).run()
            assert read_all(service) == b""


def is_reset(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return True
    return False
