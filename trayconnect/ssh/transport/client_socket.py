"""The bytes of a client's socket: read into packets."""

from __future__ import annotations

import socket
import struct
import sys
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

    def receive(sock: socket.socket, places: Sequence[memoryview]) -> int:
        """Fill one place after the other; how much came. Raises OSError."""
        return sock.recv_into(places[0])

else:

    def receive(sock: socket.socket, places: Sequence[memoryview]) -> int:
        """Fill one place after the other; how much came. Raises OSError."""
        return sock.recvmsg_into(places)[0]
