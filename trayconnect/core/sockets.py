"""Sockets on this computer."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys

_LINGER_NONE = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


def set_reset_on_close(sock: socket.socket) -> None:
    """Make `close` drop unsent data and send a reset (SO_LINGER with 0 seconds). Never raises."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)


def reset(sock: socket.socket) -> None:
    """Close with a TCP reset, which the client cannot mistake for an empty answer. Never raises."""
    set_reset_on_close(sock)
    sock.close()


def acknowledge(sock: socket.socket) -> None:
    """Acknowledge at once what has arrived over TCP, where the system lets programs say so: it may
    wait for 40 ms (RFC 1122 section 4.2.3.2). Never raises."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # another kind of socket
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
