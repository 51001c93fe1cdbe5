"""Opening and accepting, beside a server that follows a script."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from paramiko.common import (
    MSG_CHANNEL_OPEN_FAILURE,
    MSG_CHANNEL_OPEN_SUCCESS,
)

from tests.support.forwarding import LIMIT, eventually, no_leaks, read_all, was_reset
from tests.support.scripted_peer import (
    ORIGIN,
    PACKET,
    WINDOW,
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
from trayconnect.ssh.transport import multiplexer
from trayconnect.ssh.transport.carried import CarriedChannel
from trayconnect.ssh.transport.channel_end import MAX_DATA
from trayconnect.ssh.transport.multiplexer import FIRST_NUMBER, ChannelRefusedError

Pair = tuple[Plane, ScriptedServer]


@pytest.fixture
def pair() -> Iterator[Pair]:
    with no_leaks(), scripted() as pair:
        yield pair


class Answers:
    """Those to an `open`."""

    def __init__(self) -> None:
        self.opened: list[CarriedChannel] = []
        self.errors: list[Exception] = []
        self.came = threading.Event()

    def on_opened(self, channel: CarriedChannel) -> None:
        self.opened.append(channel)
        self.came.set()

    def on_refused(self, error: Exception) -> None:
        self.errors.append(error)
        self.came.set()

    def refusal(self) -> Exception:
        assert self.came.wait(LIMIT)
        assert not self.opened
        (error,) = self.errors
        return error


def asked(plane: Plane, timeout: float = LIMIT) -> Answers:
    answers = Answers()
    ask(plane, answers.on_opened, answers.on_refused, timeout)
    return answers


def table(plane: Plane) -> int:
    """How many channels it knows."""
    return len(plane.mux._channels)


# --- opening --------------------------------------------------------------------------------------


def test_what_is_asked_for(pair: Pair) -> None:
    plane, server = pair
    answers = asked(plane)
    fields = server.expect(90)
    assert fields.string() == b"direct-tcpip"
    number = fields.uint32()
    assert number == FIRST_NUMBER
    assert (fields.uint32(), fields.uint32()) == (SMALLEST, MAX_DATA)
    assert (fields.string(), fields.uint32()) == (b"far", 80)
    assert (fields.string(), fields.uint32()) == (b"127.0.0.1", 1)
    assert fields.done
    server.refuse(number, 4)
    error = answers.refusal()
    assert isinstance(error, ChannelRefusedError)
    assert (error.code, str(error)) == (4, "no (code 4)")
    assert table(plane) == 0


@pytest.mark.parametrize("late", ["an open channel", "a refusal", "nothing"])
def test_an_answer_that_comes_too_late(pair: Pair, late: str) -> None:
    plane, server = pair
    answers = asked(plane, 0.02)
    number = server.asked()
    assert isinstance(answers.refusal(), TimeoutError)
    if late == "an open channel":
        server.open(number, peer=3)
        server.expect_close(3)
        server.send(data(number, b"x"), numbers(97, number))
    elif late == "a refusal":
        server.refuse(number)
    with carried(plane, server).client:  # the connection lives
        assert table(plane) == 1 + (late == "nothing")


@pytest.mark.parametrize("is_alive", [False, True])
def test_a_server_that_owes_an_answer_and_says_nothing_is_suspicious(
    pair: Pair, is_alive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane, server = pair
    silences: list[float] = []
    plane.mux.on_silence = lambda: silences.append(time.monotonic())
    monkeypatch.setattr(multiplexer, "SUSPICIOUS_SECONDS", 0.1)
    answers = asked(plane, 0.3)
    number = server.asked()
    if is_alive:  # only the target takes its time
        server.send(numbers(93, number, 1))
    assert isinstance(answers.refusal(), TimeoutError)
    assert len(silences) == (not is_alive)


def test_each_opening_has_its_own_limit(pair: Pair) -> None:
    plane, server = pair
    patient = asked(plane)
    hasty = [asked(plane, 0.05), asked(plane, 0.02)]
    first = server.asked()
    for answers in hasty:
        assert isinstance(answers.refusal(), TimeoutError)
    assert not patient.came.is_set()
    server.open(first)
    assert patient.came.wait(LIMIT)
    assert patient.opened


@pytest.mark.parametrize(
    "answer",
    [
        numbers(MSG_CHANNEL_OPEN_FAILURE, FIRST_NUMBER),
        numbers(MSG_CHANNEL_OPEN_FAILURE, FIRST_NUMBER, 1, 2**32 - 1),
        numbers(MSG_CHANNEL_OPEN_SUCCESS, FIRST_NUMBER),
        numbers(MSG_CHANNEL_OPEN_SUCCESS, FIRST_NUMBER, 7, 7),
        numbers(MSG_CHANNEL_OPEN_SUCCESS, FIRST_NUMBER + 1, 7, 7, 7),
    ],
)
def test_who_asked_hears_of_the_end_after_an_answer_that_is_none(pair: Pair, answer: bytes) -> None:
    plane, server = pair
    answers = asked(plane)
    server.asked()
    server.send(answer)
    assert isinstance(answers.refusal(), ConnectionError)
    assert plane.error is not None


def test_who_asks_after_the_end_or_during_it_hears_of_it(pair: Pair) -> None:
    plane, server = pair
    during = asked(plane)
    server.asked()
    again: list[Answers] = []
    plane.mux.open(
        "x", b"", lambda _: None, lambda _: again.append(asked(plane)), LIMIT
    )  # as a forward that tries the next address
    server.next()
    plane.packetizer.close()
    assert isinstance(during.refusal(), ConnectionError)
    assert plane.ended.wait(LIMIT)
    assert isinstance(again[0].refusal(), ConnectionError)
    assert isinstance(asked(plane).refusal(), ConnectionError)
    with socket.socket() as sock, pytest.raises(ConnectionError):
        plane.mux.admit(1, 1, 1, Client(sock, ORIGIN), lambda: None)


def test_openings_of_many_threads_while_it_ends(pair: Pair) -> None:
    plane, _ = pair
    found: list[Answers] = []

    def open_many() -> None:
        found.extend(asked(plane) for _ in range(100))

    threads = [threading.Thread(target=open_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    plane.packetizer.close()
    for thread in threads:
        thread.join(LIMIT)
    for answers in found:
        assert isinstance(answers.refusal(), ConnectionError)


@resets_sockets
def test_clients_that_are_handed_over_while_it_ends(pair: Pair) -> None:
    plane, server = pair
    channels = []
    for peer in range(20):
        answers = asked(plane)
        server.open(server.asked(), peer=peer)
        assert answers.came.wait(LIMIT)
        channels += answers.opened
    near: list[socket.socket] = []
    ended: list[int] = []

    def carry() -> None:
        for channel in channels:
            ours, far = tcp_pair()
            near.append(ours)
            channel.carry(Client(far, ORIGIN), on_ended=lambda: ended.append(1))

    thread = threading.Thread(target=carry)
    thread.start()
    eventually(lambda: near, "the first client")
    plane.packetizer.close()
    thread.join(LIMIT)
    for sock in near:
        with sock:
            assert was_reset(sock)
    assert plane.ended.wait(LIMIT)
    assert len(ended) == 20


def test_a_bug_of_who_opens_costs_only_its_channel(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    plane, server = pair

    def buggy(_: object) -> None:
        raise ZeroDivisionError

    for refuses in (False, True):
        ask(plane, buggy, buggy)
        number = server.asked()
        if refuses:
            server.refuse(number)
        else:
            server.open(number)
            server.expect_close()
            server.send(numbers(97, number))
    with carried(plane, server).client:
        assert table(plane) == 1
    assert caplog.text.count("a bug") == 2


def test_numbers_in_use_are_not_given_again(pair: Pair) -> None:
    plane, server = pair
    with carried(plane, server).client:
        plane.mux._number = FIRST_NUMBER
        second = carried(plane, server, peer=8)
        assert second.number == FIRST_NUMBER + 1
        second.client.close()
        server.expect_eof(8)
        plane.mux._number = 2 * FIRST_NUMBER - 1
        numbers_ = []
        for _ in range(2):
            asked(plane)
            numbers_.append(server.asked())
        assert numbers_ == [2 * FIRST_NUMBER - 1, FIRST_NUMBER + 2]


def test_an_admitted_connection(pair: Pair) -> None:
    plane, server = pair
    near, far = tcp_pair()
    ended = threading.Event()
    with near:
        plane.mux.admit(9, WINDOW, PACKET, Client(far, ORIGIN), ended.set)
        fields = server.expect(MSG_CHANNEL_OPEN_SUCCESS)
        assert fields.uint32() == 9
        number = fields.uint32()
        server.send(data(number, b"in"), numbers(96, number))
        assert read_all(near) == b"in"
        near.sendall(b"out")
        near.shutdown(socket.SHUT_WR)
        assert server.read(3) == b"out"
        server.expect_eof(9)
        server.expect_close(9)
        assert ended.wait(LIMIT)
        server.send(numbers(97, number))
        eventually(lambda: not table(plane), "the number")


# --- many -----------------------------------------------------------------------------------------


def test_a_pause_of_uploads_costs_nothing_for_those_who_are_idle(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane, server = pair
    lines = [carried(plane, server, peer=peer) for peer in range(30)]
    calls: list[int] = []
    watch = plane.packetizer.loop.watch

    def counted(*args: object) -> None:
        calls.append(1)
        watch(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(plane.packetizer.loop, "watch", counted)
    size = 2 << 20
    thread = threading.Thread(target=lines[0].client.sendall, args=(bytes(size),))
    thread.start()
    eventually(lambda: plane.packetizer.is_full, "it to be full")
    assert len(server.read(size)) == size
    thread.join(LIMIT)
    pauses = size // (384 << 10) + 2
    assert len(calls) < 10 * pauses
    for line in lines:
        line.client.close()


# --- accepting ------------------------------------------------------------------------------------


class Accepting:
    """Listening sockets, and what came."""

    def __init__(self, number: int = 1) -> None:
        self.sockets = [socket.create_server(("127.0.0.1", 0), backlog=50) for _ in range(number)]
        for sock in self.sockets:
            sock.setblocking(False)
        self.came: list[tuple[int, socket.socket]] = []

    def accepted(self, number: int, sock: socket.socket) -> None:
        self.came.append((number, sock))

    def dial(self, which: int = 0) -> socket.socket:
        return socket.create_connection(self.sockets[which].getsockname(), LIMIT)

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()
        for _, sock in self.came:
            sock.close()


@pytest.fixture
def accepting() -> Iterator[Accepting]:
    accepting = Accepting(2)
    yield accepting
    accepting.close()


def listen(plane: Plane, accepting: Accepting) -> None:
    plane.mux.accept(list(enumerate(accepting.sockets)), accepting.accepted)


def test_connections_are_accepted_until_the_release_and_wait_then(
    pair: Pair, accepting: Accepting
) -> None:
    plane, _ = pair
    listen(plane, accepting)
    with accepting.dial(1), accepting.dial(0):
        eventually(lambda: len(accepting.came) == 2, "both")
        assert sorted(number for number, _ in accepting.came) == [0, 1]
    plane.mux.release()
    plane.mux.release()
    with accepting.dial(0) as waiting:
        with carried(plane, pair[1]).client:
            assert len(accepting.came) == 2
        listen(plane, accepting)  # as the next link
        eventually(lambda: len(accepting.came) == 3, "the one that waited")
        waiting.sendall(b"x")
        assert accepting.came[2][1].recv(1) == b"x"


def test_the_end_of_the_link_releases(pair: Pair, accepting: Accepting) -> None:
    plane, _ = pair
    listen(plane, accepting)
    plane.packetizer.close()
    assert plane.ended.wait(LIMIT)
    plane.mux.release()
    listen(plane, accepting)
    with accepting.dial():
        accepting.sockets[0].setblocking(True)
        client, _ = accepting.sockets[0].accept()
        client.close()
    assert not accepting.came


def test_accept_and_release_from_several_threads(pair: Pair, accepting: Accepting) -> None:
    plane, _ = pair

    def to_and_fro(which: int) -> None:
        for _ in range(50):
            plane.mux.accept([(which, accepting.sockets[which])], accepting.accepted)
            plane.mux.release()

    threads = [threading.Thread(target=to_and_fro, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    plane.mux.release()
    listen(plane, accepting)
    with accepting.dial(0), accepting.dial(1):
        eventually(lambda: len(accepting.came) == 2, "both")


def test_a_release_within_the_callback_is_at_once(pair: Pair, accepting: Accepting) -> None:
    plane, _ = pair

    def accepted(number: int, sock: socket.socket) -> None:
        plane.mux.release()
        accepting.accepted(number, sock)

    with accepting.dial(), accepting.dial():
        plane.mux.accept([(0, accepting.sockets[0])], accepted)
        eventually(lambda: accepting.came, "the first")
        with carried(plane, pair[1]).client:
            assert len(accepting.came) == 1


def test_no_event_comes_after_the_release(pair: Pair, accepting: Accepting) -> None:
    """One that the system reported together with the wake-up for the release."""
    plane, _ = pair
    busy, go_on = threading.Event(), threading.Event()
    listen(plane, accepting)

    def wait() -> None:
        busy.set()
        assert go_on.wait(LIMIT)

    plane.packetizer.loop.call(wait)
    assert busy.wait(LIMIT)
    with accepting.dial():
        thread = threading.Thread(target=plane.mux.release)
        thread.start()
        go_on.set()
        thread.join(LIMIT)
        for sock in accepting.sockets:
            sock.close()
    with carried(plane, pair[1]).client:
        assert plane.error is None


def test_a_bug_of_who_accepts_costs_only_that_connection(
    pair: Pair, accepting: Accepting, caplog: pytest.LogCaptureFixture
) -> None:
    plane, server = pair

    def buggy(number: int, sock: socket.socket) -> None:
        if not accepting.came:
            accepting.came.append((number, socket.socket()))
            raise ZeroDivisionError
        accepting.accepted(number, sock)

    plane.mux.accept([(0, accepting.sockets[0])], buggy)
    with accepting.dial() as first:
        assert read_all(first) == b""
        with accepting.dial():
            eventually(lambda: len(accepting.came) == 2, "the second")
    assert "a bug" in caplog.text
    with carried(plane, server).client:
        pass


def test_a_listening_socket_that_was_closed_is_let_go(pair: Pair, accepting: Accepting) -> None:
    plane, server = pair
    accepting.sockets[0].close()
    listen(plane, accepting)
    with accepting.dial(1):
        eventually(lambda: accepting.came, "the other one's")
    with carried(plane, server).client:
        assert plane.error is None


SHORTAGE = """
import resource, socket, sys, threading, time
from tests.support.scripted_peer import carried, scripted
from tests.support.forwarding import eventually

came = []
with scripted() as (plane, server):
    line = carried(plane, server)
    listening = socket.create_server(("127.0.0.1", 0), backlog=50)
    listening.setblocking(False)
    address = listening.getsockname()
    clients = [socket.socket() for _ in range(10)]
    most = max(sock.fileno() for sock in clients) + 4
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    plane.mux.accept([(0, listening)], lambda number, sock: came.append(sock))
    for sock in clients:
        sock.connect(address)
    eventually(lambda: plane.mux._listening._shortage._failing, "the shortage")
    began = time.process_time()
    line.send(b"still here")
    assert line.client.recv(100) == b"still here"
    held = len(came)
    assert held < 10, held
    time.sleep(0.6)
    assert time.process_time() - began < 0.3, "it spins"
    for sock in came:
        sock.close()
    eventually(lambda: len(came) > held, "those that waited")
    line.client.sendall(b"x")
    assert server.read(1) == b"x"
    for sock in came:
        sock.close()
    line.client.close()
print("done")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no descriptors")
def test_without_descriptors_new_connections_wait() -> None:
    done = subprocess.run(
        (sys.executable, "-c", SHORTAGE), capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "done\n"
    assert done.stderr.count("have to wait") == 1


def test_the_end_reaches_each_channel(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    plane, server = pair
    first, second = carried(plane, server), carried(plane, server, peer=8)
    cut = CarriedChannel.cut

    def cut_badly(channel: CarriedChannel) -> None:
        cut(channel)
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(CarriedChannel, "cut", cut_badly)
    server.close()
    for each in (first, second):
        with each.client:
            assert was_reset(each.client)
