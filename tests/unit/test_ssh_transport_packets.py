"""Packets in their buffers, without encryption: one writer, one reader, any pieces between them."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paramiko import SSHException

from trayconnect.ssh.transport.ciphers import MAX_PACKET_BYTES
from trayconnect.ssh.transport.packets import PacketReader, PacketWriter

SMALL = 64 << 10
LARGEST_BUFFER = 512 << 10


class Pipe:
    """A connection that passes so many bytes at once as the test says."""

    def __init__(self, data: bytes, pieces: list[int]) -> None:
        self.data = memoryview(data)
        self.pieces = list(pieces)

    def recv_into(self, view: memoryview) -> int:
        assert len(view), "there is always room"
        piece = self.pieces.pop(0) if self.pieces else len(view)
        size = min(piece, len(view), len(self.data))
        view[:size] = self.data[:size]
        self.data = self.data[size:]
        return size


def written(payloads: list[bytes]) -> bytes:
    writer = PacketWriter()
    for payload in payloads:
        writer.add(payload)
    return bytes(writer.view[: len(writer)])


def read_all(reader: PacketReader, data: bytes, pieces: list[int]) -> list[bytes]:
    pipe = Pipe(data, pieces)
    found = []
    while pipe.data:
        reader.receive(pipe)  # type: ignore[arg-type]
        while (payload := reader.next()) is not None:
            found.append(bytes(payload))
        assert len(reader.view) <= LARGEST_BUFFER
    return found


SIZES = st.lists(
    st.one_of(st.integers(1, 40), st.integers(30_000, 33_000), st.integers(200_000, 260_000)),
    min_size=1,
    max_size=12,
)


@settings(deadline=None, max_examples=150)
@given(SIZES, st.lists(st.one_of(st.integers(1, 20), st.integers(1, 300_000)), max_size=60))
def test_what_is_written_is_read_whatever_the_pieces(sizes: list[int], pieces: list[int]) -> None:
    payloads = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    reader = PacketReader()
    assert read_all(reader, written(payloads), pieces) == payloads
    assert reader.sequence == len(payloads) - 1
    reader.rest()
    assert len(reader.view) == SMALL
    assert read_all(reader, written(payloads), []) == payloads


def test_a_buffer_grows_while_packets_come_fast_and_is_given_back() -> None:
    reader = PacketReader()
    read_all(reader, written([bytes(32 << 10)] * 100), [])
    assert len(reader.view) == LARGEST_BUFFER
    data = written([b"x" * 100])
    read_all(reader, data[:50], [])
    reader.rest()  # not now: a packet is half received
    assert len(reader.view) == LARGEST_BUFFER
    assert read_all(reader, data[50:], []) == [b"x" * 100]
    reader.rest()
    assert len(reader.view) == SMALL


@given(st.lists(st.tuples(st.integers(1, 90_000), st.booleans()), max_size=30))
@settings(deadline=None, max_examples=60)
def test_packets_that_wait_are_sent_in_order(steps: list[tuple[int, bool]]) -> None:
    writer, reader = PacketWriter(), PacketReader()
    ours, theirs = socket.socketpair()
    found: list[bytes] = []
    sent: list[bytes] = []
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)

        def receive() -> None:
            try:
                while reader.receive(theirs):
                    while (payload := reader.next()) is not None:
                        found.append(bytes(payload))
            except BlockingIOError:
                pass

        for number, (size, sends) in enumerate(steps):
            sent.append(bytes([number]) * size)
            writer.add(sent[-1])
            if sends and not writer.send(ours):
                receive()
        while not writer.send(ours):
            receive()
        receive()
    assert found == sent
    assert len(writer) == 0
    writer.rest()
    assert len(writer.view) == SMALL


@pytest.mark.parametrize("length", [0, 1, 11, 13, MAX_PACKET_BYTES + 4, 2**32 - 4])
def test_a_length_that_cannot_be(length: int) -> None:
    reader = PacketReader()
    with pytest.raises(SSHException, match="length"):
        read_all(reader, length.to_bytes(4, "big") + bytes(100), [])


def test_sequence_numbers_wrap_and_begin_again() -> None:
    writer, reader = PacketWriter(), PacketReader()
    writer._sequence = reader._sequence = 2**32 - 1
    assert read_all(reader, written([b"a", b"b"]), []) == [b"a", b"b"]
    assert reader.sequence == 0
    reader.reset_sequence()
    assert read_all(reader, written([b"c"]), []) == [b"c"]
    assert reader.sequence == 0
    writer.add(b"x")
    writer.add(b"x")
    assert writer._sequence == 1
    writer.reset_sequence()
    assert writer._sequence == 0
