"""What a socket has not taken yet."""

from __future__ import annotations

import itertools
import socket
import sys
from collections import deque
from collections.abc import Sequence

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


if sys.platform == "win32":

    def send(sock: socket.socket, pieces: Sequence[Piece]) -> int:
        """How much was sent. Raises OSError; BlockingIOError if nothing can be sent now."""
        return sock.send(b"".join(pieces) if len(pieces) > 1 else pieces[0])

else:

    def send(sock: socket.socket, pieces: Sequence[Piece]) -> int:
        """How much was sent. Raises OSError; BlockingIOError if nothing can be sent now."""
        return sock.send(pieces[0]) if len(pieces) == 1 else sock.sendmsg(pieces[:_MOST_PIECES])
