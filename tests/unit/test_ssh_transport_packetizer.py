"""Our packetizer beside a server that follows a script: what goes when, in which order."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from paramiko import Message, SSHException
from paramiko.common import (
    MSG_CHANNEL_DATA,
    MSG_DISCONNECT,
    MSG_GLOBAL_REQUEST,
    MSG_KEXINIT,
    MSG_NEWKEYS,
    MSG_SERVICE_REQUEST,
)

from tests.support.forwarding import LIMIT, eventually, no_leaks
from tests.support.scripted_peer import Plane, ScriptedServer, carried, data, scripted
from trayconnect.ssh.auth.data_types import string
from trayconnect.ssh.transport import packetizer as module
from trayconnect.ssh.transport.ciphers import PLAIN_OPENER, PLAIN_SEALER

Pair = tuple[Plane, ScriptedServer]


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setattr(module, "sealer_for", lambda: PLAIN_SEALER)
    monkeypatch.setattr(module, "opener_for", lambda: PLAIN_OPENER)
    with no_leaks(), scripted() as pair:
        yield pair


def on_its_thread(plane: Plane, *jobs: object) -> None:
    """Run the jobs there, as paramiko's handlers do."""
    done = threading.Event()

    def run() -> None:
        for job in jobs:
            job()  # type: ignore[operator]
        done.set()

    assert plane.packetizer.loop.call(run)
    assert done.wait(LIMIT)


def begin_exchange(plane: Plane, server: ScriptedServer) -> None:
    """Ours."""
    packetizer = plane.packetizer
    on_its_thread(plane, lambda: packetizer.send_message(Message(bytes([MSG_KEXINIT]))))
    assert server.next()[0] == MSG_KEXINIT


def end_exchange(plane: Plane) -> None:
    packetizer = plane.packetizer

    def end() -> None:
        packetizer.send_message(Message(bytes([MSG_NEWKEYS])))
        packetizer.set_outbound_cipher()

    on_its_thread(plane, end)


def test_messages_of_many_threads_each_keep_their_order(pair: Pair) -> None:
    plane, server = pair

    def post(name: int) -> None:
        for number in range(500):
            plane.packetizer.post(bytes([MSG_GLOBAL_REQUEST, name]) + number.to_bytes(2, "big"))

    threads = [threading.Thread(target=post, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    found: dict[int, list[int]] = {name: [] for name in range(4)}
    for _ in range(2000):
        message = server.next()
        found[message[1]].append(int.from_bytes(message[2:], "big"))
    for thread in threads:
        thread.join(LIMIT)
    assert set(map(tuple, found.values())) == {tuple(range(500))}


def test_nothing_goes_out_between_our_kexinit_and_our_newkeys(pair: Pair) -> None:
    plane, server = pair
    line = carried(plane, server)
    with line.client:
        begin_exchange(plane, server)
        plane.packetizer.post(b"\x50posted")
        on_its_thread(plane, lambda: plane.packetizer.put(b"\x50put"))
        line.client.sendall(b"from a client")
        line.send(b"to a client")  # the server has not begun its part
        assert line.client.recv(100) == b"to a client"
        line.send(bytes(200_000)[: 32 << 10])
        on_its_thread(plane, lambda: plane.packetizer.send_message(Message(b"\x1eof the exchange")))
        assert server.next() == b"\x1eof the exchange"
        assert plane.packetizer.is_full
        end_exchange(plane)
        assert server.next()[0] == MSG_NEWKEYS
        assert [server.next() for _ in range(2)] == [b"\x50posted", b"\x50put"]
        assert server.read(13) == b"from a client"


def test_within_the_exchange_of_the_server_every_message_is_paramikos(pair: Pair) -> None:
    plane, server = pair
    line = carried(plane, server)
    with line.client:
        server.send(bytes([MSG_KEXINIT]), data(line.number, b"not now"))
        eventually(lambda: len(plane.messages) == 2, "both messages")
        assert [kind for kind, _ in plane.messages] == [MSG_KEXINIT, MSG_CHANNEL_DATA]
        server.send(bytes([MSG_NEWKEYS]), data(line.number, b"now"))
        assert line.client.recv(100) == b"now"


def test_a_goodbye_goes_out_within_an_exchange_too(pair: Pair) -> None:
    plane, server = pair
    begin_exchange(plane, server)
    plane.packetizer.post(bytes([MSG_SERVICE_REQUEST]))
    plane.packetizer.send_last(bytes([MSG_DISCONNECT]), LIMIT)
    assert server.next() == bytes([MSG_DISCONNECT])


def test_a_goodbye_waits_no_longer_than_its_limit(pair: Pair) -> None:
    plane, _ = pair
    busy, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        busy.set()
        go_on.wait(LIMIT)

    plane.packetizer.loop.call(wait)
    assert busy.wait(LIMIT)
    plane.packetizer.send_last(bytes([MSG_DISCONNECT]), 0.05)
    go_on.set()


def test_an_exchange_that_takes_too_long_ends_the_connection(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REKEY_SECONDS", 0.05)
    plane, server = pair
    plane.packetizer._initial_kex_done = True
    begin_exchange(plane, server)
    assert plane.ended.wait(LIMIT)
    assert "key exchange" in str(plane.error)


@pytest.mark.parametrize("limit", ["REKEY_BYTES", "REKEY_PACKETS"])
@pytest.mark.parametrize("way", ["in", "out"])
def test_keys_are_exchanged_after_so_many_bytes_or_packets(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, limit: str, way: str
) -> None:
    plane, server = pair
    asked = threading.Event()

    def at_rekey() -> None:
        asked.set()
        plane.packetizer.send_message(Message(bytes([MSG_KEXINIT])))

    plane.at_rekey = at_rekey
    monkeypatch.setattr(module, limit, 10_000 if limit == "REKEY_BYTES" else 20)
    for _ in range(19):
        if way == "in":
            server.send(bytes([MSG_GLOBAL_REQUEST]))
        else:
            plane.packetizer.post(bytes([MSG_GLOBAL_REQUEST]))
            server.next()
    assert not asked.is_set()
    if way == "in":
        server.send(bytes([MSG_GLOBAL_REQUEST]) * 10_000)
    else:
        for size in (10_000, 1):  # what has been sent is counted at the next turn
            plane.packetizer.post(bytes([MSG_GLOBAL_REQUEST]) * size)
            server.next()
    assert server.next() == bytes([MSG_KEXINIT])
    end_exchange(plane)
    on_its_thread(plane, plane.packetizer.set_inbound_cipher)
    assert not plane.packetizer.need_rekey()


# --- room -----------------------------------------------------------------------------------------


def test_bulk_data_waits_for_room_and_the_rest_does_not(pair: Pair) -> None:
    plane, server = pair
    size, number = 32 << 10, 200
    sent: list[int] = []

    def send() -> None:
        for one in range(number):
            plane.packetizer.send_bulk(one.to_bytes(2, "big") + bytes(size))
            sent.append(one)

    thread = threading.Thread(target=send)
    thread.start()
    eventually(lambda: plane.packetizer.is_full, "it to be full")
    plane.packetizer.post(b"\x50not bulk")
    assert len(sent) < number
    found: list[int] = []
    while len(found) < number:
        message = server.next()
        if message != b"\x50not bulk":
            found.append(int.from_bytes(message[:2], "big"))
    thread.join(LIMIT)
    assert found == list(range(number))
    assert not plane.packetizer.is_full


def test_who_waits_for_room_is_woken_by_the_end(pair: Pair) -> None:
    plane, _ = pair
    errors: list[Exception] = []

    def send() -> None:
        try:
            while True:
                plane.packetizer.send_bulk(bytes(32 << 10))
        except EOFError as error:
            errors.append(error)

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    eventually(lambda: plane.packetizer.is_full, "it to be full")
    plane.packetizer.close()
    for thread in threads:
        thread.join(LIMIT)
    assert len(errors) == 3


def test_uploads_stop_while_the_server_takes_nothing_and_go_on_then(pair: Pair) -> None:
    plane, server = pair
    lines = [carried(plane, server, peer=peer, window=1 << 30) for peer in range(4)]
    size = 3 << 20
    threads = [
        threading.Thread(target=line.client.sendall, args=(bytes([peer]) * size,))
        for peer, line in enumerate(lines)
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: plane.packetizer.is_full, "it to be full")
    assert len(plane.packetizer.writer) < 2 << 20
    found = dict.fromkeys(range(4), 0)
    while sum(found.values()) < 4 * size:
        message = server.next()
        assert message[0] == MSG_CHANNEL_DATA
        peer = int.from_bytes(message[1:5], "big")
        assert message[9:] == bytes([peer]) * (len(message) - 9)
        found[peer] += len(message) - 9
    for line, thread in zip(lines, threads, strict=True):
        thread.join(LIMIT)
        line.client.close()
    assert not plane.packetizer.is_full


# --- the end --------------------------------------------------------------------------------------


def test_the_last_words_of_a_server_that_takes_nothing_more_are_read(pair: Pair) -> None:
    plane, server = pair
    line = carried(plane, server)
    with line.client:
        server.sock.shutdown(socket.SHUT_RD)
        line.client.sendall(b"x")  # this fails with EPIPE
        eventually(lambda: plane.packetizer.is_full, "the error")
        line.client.sendall(bytes(1 << 20)[: 64 << 10])  # and this is not read
        server.send(bytes([MSG_DISCONNECT]) + b"why")
        eventually(lambda: plane.messages, "its words")
        assert plane.messages[0][0] == MSG_DISCONNECT
        assert len(plane.packetizer.writer) == 0
        server.close()
        assert plane.ended.wait(LIMIT)


def test_a_server_that_takes_nothing_and_says_nothing_ends_it(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LAST_WORDS_SECONDS", 0.05)
    plane, server = pair
    server.sock.shutdown(socket.SHUT_RD)
    plane.packetizer.post(b"\x50")
    assert plane.ended.wait(LIMIT)
    assert isinstance(plane.error, BrokenPipeError)


def test_an_empty_packet_ends_it(pair: Pair) -> None:
    plane, server = pair
    server.sock.sendall((12).to_bytes(4, "big") + b"\x0b" + bytes(11))
    assert plane.ended.wait(LIMIT)
    assert isinstance(plane.error, SSHException)


def test_a_text_in_another_encoding_is_read() -> None:
    """paramiko's own reading ended the connection with an unforeseen error."""
    message = module.ReceivedMessage(string(b"sm\xf6rg,none"))
    assert message.get_list() == ["sm\N{REPLACEMENT CHARACTER}rg", "none"]
