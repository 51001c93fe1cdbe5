"""Reading from a client into packets, and what a client has not taken yet."""

from __future__ import annotations

import socket
import sys
import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st
from paramiko.common import MSG_CHANNEL_DATA

from trayconnect.core.backlog import Backlog
from trayconnect.core.receive_window import ReceiveWindow, WindowBudget
from trayconnect.ssh.auth.data_types import DataReader
from trayconnect.ssh.transport.channel_end import MAX_DATA, ChannelEnd
from trayconnect.ssh.transport.client_socket import read
from trayconnect.ssh.transport.packets import PacketReader, PacketWriter


def an_end(window: int, most: int = MAX_DATA) -> ChannelEnd:
    end = ChannelEnd(1, ReceiveWindow(WindowBudget()), lambda *_: None)
    end.opened(7, window, most)
    return end


@settings(deadline=None, max_examples=50)
@given(
    st.integers(1, 400_000),
    st.integers(1, 300_000),
    st.sampled_from([100, 5000, MAX_DATA]),
    st.integers(0, 70_000),
    st.booleans(),
)
def test_a_read_becomes_packets_within_the_window(
    sent: int, window: int, most: int, waiting: int, much: bool
) -> None:
    ours, theirs = socket.socketpair()
    writer = PacketWriter()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        content = bytes(range(251)) * (sent // 251 + 1)
        sent = theirs.send(content[:sent])
        writer.add_raw(bytes(waiting))
        end = an_end(window, most)
        size = read(ours, end, writer, much=much)
        assert 0 < size <= min(sent, window, 8 * most)
        assert end.send_window == window - size
        packets = bytes(writer.view[waiting : writer.end])
    found, largest = parsed(packets)
    assert found == content[:size]
    assert largest <= most


def parsed(packets: bytes) -> tuple[bytes, int]:
    """The data of all packets, and the largest share of one of them."""
    ours, theirs = socket.socketpair()
    reader, found, largest = PacketReader(), b"", 0
    with ours, theirs:
        theirs.setblocking(False)
        while True:
            if packets:
                packets = packets[theirs.send(packets[: 16 << 10]) :]
                reader.receive(ours)
            elif not reader.line(0):
                break
            while (payload := reader.next()) is not None:
                assert payload[0] == MSG_CHANNEL_DATA
                fields = DataReader(bytes(payload[1:]))
                assert fields.uint32() == 7
                piece = fields.string()
                assert fields.done
                found += piece
                largest = max(largest, len(piece))
    return found, largest


@given(st.lists(st.binary(max_size=50)), st.integers(0, 2000))
def test_what_was_not_sent_is_kept_in_order(pieces: list[bytes], sent: int) -> None:
    whole = b"".join(pieces)
    sent = min(sent, len(whole))
    backlog = Backlog()
    backlog.keep([memoryview(piece) for piece in pieces], sent)
    backlog.keep([memoryview(b"more")], 0)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert backlog.deliver(ours) == len(whole) - sent + 4
        ours.shutdown(socket.SHUT_WR)
        found = b""
        while data := theirs.recv(4096):
            found += data
    assert not backlog
    assert found == whole[sent:] + b"more"


def test_a_client_that_takes_little_gets_everything_once() -> None:
    backlog = Backlog()
    content = bytes(range(256)) * 8192
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        view = memoryview(content)
        found = b""
        while view or backlog:
            if view:
                backlog.keep([view[:1000], view[1000:50_000]], 0)
                view = view[50_000:]
            backlog.deliver(ours)
            found += theirs.recv(40_000)
        ours.shutdown(socket.SHUT_WR)
        while data := theirs.recv(65536):
            found += data
    assert found == content


def test_data_two_bytes_at_a_time_takes_little_more_memory_than_its_size() -> None:
    backlog = Backlog()
    size = 512 << 10
    tracemalloc.start()
    try:
        for _ in range(size // 2):
            backlog.keep([memoryview(b"ab")], 0)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert backlog
    assert used < 2 * size + 100 * sys.getsizeof("")
