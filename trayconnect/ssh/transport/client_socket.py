"""The bytes of a client's socket: read into packets, and those that it has not taken yet."""

from __future__ import annotations

import itertools
import socket
import struct
import sys
from collections import deque
from collections.abc import Sequence

from paramiko.common import MSG_CHANNEL_DATA

from trayconnect.ssh.transport.channel_end import ChannelEnd
from trayconnect.ssh.transport.packet_format import PAYLOAD_START
from trayconnect.ssh.transport.packets import PacketWriter

DATA_HEAD = struct.Struct(">BII")
"""Of a packet of data: message number, channel, length."""
_DATA_START = PAYLOAD_START + DATA_HEAD.size
_AT_ONCE = 8
"""Packets that are made of one read."""
_MOST_PIECES = 64
"""Far below IOV_MAX (limits.h)."""
_JOINED = 32 << 10
"""Bytes up to which pieces are kept as one: a server may send two bytes at a time, and the objects
around them would take thirty times as much memory."""

Piece = bytearray | memoryview


class Backlog:
    """What a client has not taken yet."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces: deque[Piece] = deque()

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def clear(self) -> None:
        self._pieces.clear()

    def keep(self, pieces: Sequence[memoryview], sent: int) -> None:
        """Copy what follows the first `sent` bytes of the pieces."""
        for piece in pieces:
            if sent >= len(piece):
                sent -= len(piece)
            else:
                self._add(piece[sent:])
                sent = 0

    def deliver(self, sock: socket.socket) -> int:
        """Send what the client takes now; how much that is. Raises OSError."""
        pieces = self._pieces
        sent = 0
        while pieces:
            try:
                now = send(sock, list(itertools.islice(pieces, _MOST_PIECES)))
            except BlockingIOError:
                break
            sent += now
            while pieces and now >= len(pieces[0]):
                now -= len(pieces.popleft())
            if now:
                pieces[0] = memoryview(pieces[0])[now:]
                break
        return sent

    def _add(self, piece: memoryview) -> None:
        last = self._pieces[-1] if self._pieces else None
        if isinstance(last, bytearray) and len(last) + len(piece) <= _JOINED:
            last += piece
        else:
            self._pieces.append(bytearray(piece))


def read(sock: socket.socket, end: ChannelEnd, writer: PacketWriter, *, much: bool) -> int:
    """Read what the client sends into packets, in their place; how much that is. 0: its end.

    `end` may send. `much`: more than one packet. Raises OSError; BlockingIOError if nothing has
    come."""
    window, most = end.send_window, end.max_data
    count = max(1, min(_AT_ONCE, window // most)) if much else 1
    most = min(window, most)
    stride = writer.size(DATA_HEAD.size + most)
    place = writer.reserve(count * stride) + _DATA_START
    view = writer.view
    if count > 1:
        places = range(place, place + count * stride, stride)
        size = receive(sock, [view[at : at + most] for at in places])
    else:
        size = sock.recv_into(view[place : place + most])
    end.send_window = window - size
    rest = size
    while rest > 0:
        now = min(rest, most)
        DATA_HEAD.pack_into(view, writer.end + PAYLOAD_START, MSG_CHANNEL_DATA, end.peer, now)
        writer.seal(DATA_HEAD.size + now)
        rest -= now
    return size


if sys.platform == "win32":

    def send(sock: socket.socket, pieces: Sequence[Piece]) -> int:
        """How much was sent. Raises OSError; BlockingIOError if nothing can be sent now."""
        return sock.send(b"".join(pieces) if len(pieces) > 1 else pieces[0])

    def receive(sock: socket.socket, places: Sequence[memoryview]) -> int:
        """Fill one place after the other; how much came. Raises OSError."""
        return sock.recv_into(places[0])

else:

    def send(sock: socket.socket, pieces: Sequence[Piece]) -> int:
        """How much was sent. Raises OSError; BlockingIOError if nothing can be sent now."""
        return sock.send(pieces[0]) if len(pieces) == 1 else sock.sendmsg(pieces[:_MOST_PIECES])

    def receive(sock: socket.socket, places: Sequence[memoryview]) -> int:
        """Fill one place after the other; how much came. Raises OSError."""
        return sock.recvmsg_into(places)[0]
