"""Connections that are carried for local sockets, beside a server that follows a script."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
from paramiko import SSHException
from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_WINDOW_ADJUST,
)

from tests.support.forwarding import LIMIT, eventually, no_leaks, read_all, was_reset
from tests.support.scripted_peer import (
    PACKET,
    WINDOW,
    Channel,
    Plane,
    ScriptedServer,
    ask,
    carried,
    data,
    numbers,
    scripted,
    tcp_pair,
)
from tests.support.systems import resets_sockets
from trayconnect.core.link import Client
from trayconnect.core.receive_window import SMALLEST
from trayconnect.core.sockets import reset
from trayconnect.ssh.transport.carried import CarriedChannel

Pair = tuple[Plane, ScriptedServer]


@pytest.fixture
def pair() -> Iterator[Pair]:
    with no_leaks(), scripted() as pair:
        yield pair


@pytest.fixture
def line(pair: Pair) -> Iterator[Channel]:
    line = carried(*pair)
    with line.client:
        yield line


def connections(plane: Plane) -> int:
    return plane.mux.traffic.connections


def is_over(line: Channel) -> None:
    """Its socket was closed, and the server knows."""
    eventually(lambda: line.carried.fileno() < 0, "the end of the client's socket")
    eventually(lambda: not connections(line.plane), "the count")


# --- both ways ------------------------------------------------------------------------------------


def test_bytes_go_both_ways_and_are_counted(line: Channel) -> None:
    line.client.sendall(b"question")
    assert line.server.read(8) == b"question"
    line.send(b"the answer")
    assert line.client.recv(100) == b"the answer"
    eventually(lambda: line.plane.mux.traffic.received == 10, "the count")
    traffic = line.plane.mux.traffic
    assert (traffic.connections, traffic.sent, traffic.received) == (1, 8, 10)


def test_the_client_finishes_first_and_still_gets_its_answer(line: Channel) -> None:
    line.client.sendall(b"request")
    line.client.shutdown(socket.SHUT_WR)
    assert line.server.read(7) == b"request"
    line.server.expect_eof()
    line.send(b"response")
    line.send_eof()
    assert read_all(line.client) == b"response"
    line.server.expect_close()
    line.send_close()
    is_over(line)


def test_the_service_finishes_first_and_still_gets_the_rest(line: Channel) -> None:
    line.send(b"go on")
    line.send_eof()
    assert read_all(line.client) == b"go on"
    line.client.sendall(b"the rest")
    line.client.close()
    assert line.server.read(8) == b"the rest"
    line.server.expect_eof()
    line.server.expect_close()
    is_over(line)


def test_a_close_without_an_eof_is_an_end_like_any_other(line: Channel) -> None:
    line.send(b"all of it")
    line.send_close()
    assert read_all(line.client) == b"all of it"
    line.server.expect_close()
    line.client.close()
    is_over(line)


@resets_sockets
def test_a_reset_by_the_client_ends_the_far_side(line: Channel) -> None:
    line.client.sendall(b"x")
    assert line.server.read(1) == b"x"
    reset(line.client)
    line.server.expect_close()
    line.send(b"in flight")
    line.send_close()
    is_over(line)


@resets_sockets
def test_what_was_said_before_a_close_reaches_a_client_that_is_still_sending(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trayconnect.ssh.transport.carried.LINGER", 0.5)
    line = carried(*pair, window=1)
    with line.client:
        line.client.sendall(bytes(1 << 20))  # it is not wanted
        line.send(b"413 Too large")
        line.send_close()
        assert line.server.read(1) == b"\0"
        line.server.expect_close()
        assert line.client.recv(100) == b"413 Too large"
        assert line.client.recv(100) == b""
        is_over(line)  # though the client has not closed


@resets_sockets
def test_the_end_of_the_link_resets_a_client(pair: Pair) -> None:
    line = carried(*pair)
    with line.client:
        line.send(b"the first half")
        assert line.client.recv(100) == b"the first half"
        line.plane.packetizer.close()
        assert was_reset(line.client)
        is_over(line)


def test_the_end_of_the_link_leaves_alone_what_was_complete(pair: Pair) -> None:
    line = carried(*pair)
    with line.client:
        line.send(b"all of it")
        line.send_close()
        assert line.client.recv(100) == b"all of it"
        line.plane.packetizer.close()
        assert line.plane.ended.wait(LIMIT)
        assert not was_reset(line.client)
        assert not line.client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


@resets_sockets
@pytest.mark.parametrize("stalled", ["the client", "the service", "both"])
def test_the_end_of_the_link_ends_what_is_stalled(pair: Pair, stalled: str) -> None:
    line = carried(*pair, window=10)
    with line.client:
        if stalled != "the service":
            for _ in range(SMALLEST // PACKET):
                line.send(bytes(PACKET))
        if stalled != "the client":
            line.client.sendall(bytes(11))
        line.plane.packetizer.close()
        assert was_reset(line.client)
        is_over(line)


@resets_sockets
def test_a_client_gone_before_it_was_carried_is_no_error(pair: Pair) -> None:
    plane, server = pair
    opened: list[CarriedChannel] = []
    ask(plane, opened.append, lambda error: None)
    number = server.asked()
    server.open(number)
    eventually(lambda: opened, "the channel")
    near, far = tcp_pair()
    reset(near)
    opened[0].carry(Client(far, ("", 0)))
    server.expect_close()
    eventually(lambda: far.fileno() < 0, "the end of the client's socket")


# --- windows --------------------------------------------------------------------------------------


def test_a_server_that_ignores_the_window_is_thrown_out(line: Channel) -> None:
    """The client reads nothing; what the system takes for it is granted again."""
    with contextlib.suppress(OSError):
        while True:
            line.send(bytes(PACKET))
    assert line.plane.ended.wait(LIMIT)
    assert isinstance(line.plane.error, SSHException)
    assert "window" in str(line.plane.error)


def test_data_in_tiny_pieces_takes_no_more_memory_than_its_size(line: Channel) -> None:
    channel = line.channel
    assert channel is not None
    for _ in range(SMALLEST // PACKET // 2):  # more than the system takes is not needed here
        line.send(bytes(PACKET))
    for _ in range(500):
        line.send(b"ab")
    line.server.send(numbers(MSG_CHANNEL_EOF, line.number))
    total = SMALLEST // 2 + 1000
    received = read_all(line.client)
    assert len(received) == total
    assert received.endswith(b"ab" * 500)


@pytest.mark.parametrize("window", [1, 100, PACKET - 1, PACKET, PACKET + 1, 3 * PACKET + 5])
def test_an_upload_keeps_to_the_window(pair: Pair, window: int) -> None:
    plane, server = pair
    content = bytes(range(256)) * 2048
    line = carried(plane, server, window=window)
    with line.client:
        sender = threading.Thread(target=line.client.sendall, args=(content,))
        sender.start()
        received = server.read(window)
        while len(received) < len(content):
            more = min(len(content) - len(received), 100_000)
            line.adjust(more)
            piece = server.read(more)
            assert len(piece) == more
            received += piece
        assert received == content
        sender.join(LIMIT)
        line.client.shutdown(socket.SHUT_WR)
        line.adjust(1)  # as with OpenSSH, an end is not looked for without a window
        server.expect_eof()


def test_the_last_bytes_of_a_window_fit_though_the_buffer_is_full(pair: Pair) -> None:
    """A read that the window cuts short must reserve its place, too."""
    plane, server = pair
    line = carried(plane, server, window=2 * PACKET)
    with line.client:
        line.client.sendall(bytes(2 * PACKET + 100))
        assert len(server.read(2 * PACKET)) == 2 * PACKET
        done = threading.Event()

        def fill_up() -> None:
            writer = plane.packetizer.writer
            writer.reserve(0)
            writer._start = writer.end = len(writer.view)
            line.channel.adjust(10)  # type: ignore[union-attr]
            done.set()

        plane.packetizer.loop.run(fill_up)
        assert done.wait(LIMIT)
        assert server.read(10) == bytes(10)
        line.adjust(1000)
        assert len(server.read(90)) == 90
        line.client.shutdown(socket.SHUT_WR)
        server.expect_eof()


def test_packets_are_as_small_as_the_server_wants(pair: Pair) -> None:
    plane, server = pair
    line = carried(plane, server, most=3)
    with line.client:
        line.client.sendall(b"0123456789")
        sizes: list[int] = []
        while sum(sizes) < 10:
            message = server.next()
            assert message[0] == MSG_CHANNEL_DATA
            sizes.append(len(message) - 9)
        assert max(sizes) <= 3


def test_a_window_beyond_all_measure(line: Channel) -> None:
    line.adjust(2**32 - 1)
    assert line.plane.ended.wait(LIMIT)
    assert "too large" in str(line.plane.error)


# --- requests and late messages -------------------------------------------------------------------


def request(number: int) -> bytes:
    return numbers(MSG_CHANNEL_REQUEST, number) + b"\0\0\0\1x" + b"\1"


def test_a_request_is_refused_but_not_after_our_close(line: Channel) -> None:
    line.server.send(request(line.number))
    assert line.server.expect(MSG_CHANNEL_FAILURE).uint32() == 7
    reset(line.client)
    line.server.expect_close()
    line.server.send(request(line.number), data(line.number, b"late"))
    line.server.send(numbers(MSG_CHANNEL_EOF, line.number))
    line.send_close()
    second = carried(line.plane, line.server, peer=8)  # nothing was said meanwhile
    with second.client:
        second.client.sendall(b"x")
        assert line.server.read(1) == b"x"


def test_stderr_counts_and_goes_nowhere(line: Channel) -> None:
    stderr = numbers(MSG_CHANNEL_EXTENDED_DATA, line.number, 1)
    piece = (SMALLEST // 4).to_bytes(4, "big") + bytes(SMALLEST // 4)
    line.server.send(stderr + piece)
    fields = line.server.expect(MSG_CHANNEL_WINDOW_ADJUST)
    assert (fields.uint32(), fields.uint32()) == (7, SMALLEST // 4)
    line.send(b"x")
    assert line.client.recv(10) == b"x"


def test_data_after_an_eof_is_dropped(line: Channel) -> None:
    line.send(b"all")
    line.send_eof()
    line.send(b"more")
    assert read_all(line.client) == b"all"


# --- clients that are given back ------------------------------------------------------------------


@pytest.mark.parametrize("how", ["EOF", "CLOSE", "the end of the link"])
def test_an_unused_client_is_given_back(pair: Pair, how: str) -> None:
    plane, server = pair
    line = carried(plane, server, gives_back=True)
    with line.client, line.carried:
        if how == "EOF":
            line.send_eof()
        elif how == "CLOSE":
            line.send_close()
        else:
            plane.packetizer.close()
        eventually(lambda: line.given_back, "the client")
        if how != "the end of the link":
            server.expect_close()
        (client,) = line.given_back
        client.socket.sendall(b"it is alive")
        assert line.client.recv(100) == b"it is alive"
        assert connections(plane) == 0


@pytest.mark.parametrize("how", ["EOF", "CLOSE"])
def test_a_channel_that_ended_before_it_was_carried_costs_no_request(pair: Pair, how: str) -> None:
    """The server's message has arrived, and was not looked at when the client came."""
    plane, server = pair
    opened: list[CarriedChannel] = []
    ask(plane, opened.append, lambda error: None)
    number = server.asked()
    server.open(number)
    eventually(lambda: opened, "the channel")
    near, far = tcp_pair()
    given_back: list[Client] = []

    def accepted(_number: int, sock: socket.socket) -> None:
        sock.close()
        server.send(numbers(MSG_CHANNEL_EOF if how == "EOF" else MSG_CHANNEL_CLOSE, number))
        opened[0].carry(Client(far, ("", 0)), given_back.append)

    with near, far, socket.create_server(("127.0.0.1", 0)) as listening:
        near.sendall(b"a request")
        listening.setblocking(False)
        plane.mux.accept([(0, listening)], accepted)
        socket.create_connection(listening.getsockname(), LIMIT).close()
        server.expect_close()
        eventually(lambda: given_back, "the client")
        assert far.recv(100) == b"a request"
        plane.mux.release()


@pytest.mark.parametrize("used", ["by the client", "by the server", "by a reply", "by both ends"])
def test_a_used_client_is_not_given_back(pair: Pair, used: str) -> None:
    plane, server = pair
    line = carried(plane, server, gives_back=True, reply=b"ok" if used == "by a reply" else b"")
    with line.client:
        if used in ("by the client", "by both ends"):
            line.client.sendall(b"x")
            assert server.read(1) == b"x"
        if used in ("by the server", "by both ends"):
            line.send(b"y")
        line.send_eof()
        line.send_close()
        expected = {"by a reply": b"ok", "by the client": b""}.get(used, b"y")
        assert read_all(line.client) == expected
        line.client.close()
        is_over(line)
    assert not line.given_back


def test_a_reply_comes_before_the_first_byte(pair: Pair) -> None:
    line = carried(*pair, reply=b"HTTP/1.1 200\r\n\r\n")
    with line.client:
        line.send(b"x")
        line.send_eof()
        assert read_all(line.client) == b"HTTP/1.1 200\r\n\r\nx"


# --- the end, from every state --------------------------------------------------------------------


def test_a_client_for_a_channel_whose_link_has_ended_is_reset(pair: Pair) -> None:
    plane, server = pair
    line = carried(plane, server)
    plane.packetizer.close()
    assert plane.ended.wait(LIMIT)
    line.client.close()
    near, far = tcp_pair()
    ended: list[int] = []
    with near:
        assert line.channel is not None
        line.channel.carry(Client(far, ("", 0)), on_ended=lambda: ended.append(1))
        assert was_reset(near)
    assert ended == [1]


def test_a_bug_in_a_callback_ends_one_connection_only(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    plane, server = pair
    line = carried(plane, server)
    near, far = tcp_pair()

    def buggy() -> None:
        raise ZeroDivisionError

    plane.mux.admit(9, WINDOW, PACKET, Client(far, ("", 0)), buggy)
    with near, line.client:
        server.next()
        near.close()
        assert server.expect(MSG_CHANNEL_EOF).uint32() == 9
        # Our number of it is the next after that of `line`.
        server.send(numbers(MSG_CHANNEL_CLOSE, line.number + 1))
        assert server.expect(MSG_CHANNEL_CLOSE).uint32() == 9
        eventually(lambda: "a bug" in caplog.text, "the log")
        line.send(b"still here")
        assert line.client.recv(100) == b"still here"
