"""Byte streams and programs behind a relay: one end of a pair of sockets, whose other end the
link carries."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time

from trayconnect.core.link import Completed
from trayconnect.services.batch.relay.channel import Channel, Phase
from trayconnect.services.batch.relay.multiplexer import Multiplexer

MAX_OUTPUT = 1 << 20
_READ = 64 << 10


class LocalStream:
    """`link.ByteStream`."""

    def __init__(self, sock: socket.socket, mux: Multiplexer, channel: Channel) -> None:
        self._sock = sock
        self._mux = mux
        self.channel = channel
        self._is_closed = False

    @property
    def is_over(self) -> bool:
        return self.channel.phase is not Phase.OPEN

    def recv(self, size: int) -> bytes:
        data = self._sock.recv(size)
        if not data and self.channel.was_cut and not self._is_closed:
            raise ConnectionResetError("the connection was cut off")
        return data

    def sendall(self, data: bytes | memoryview) -> None:
        self._sock.sendall(data)

    def shutdown_write(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._is_closed = True
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)  # wakes who reads
        self._sock.close()
        self._mux.loop.run(self.channel.leave)


class LocalProgram(LocalStream):
    """`link.RemoteProgram`."""

    @property
    def said(self) -> bytes:
        return bytes(self.channel.stderr)

    @property
    def status(self) -> int | None:
        status = self.channel.status
        return None if status is None or status < 0 else status

    def run(self, stdin: bytes, timeout: float) -> tuple[Completed, bool]:
        """Feed it, and wait for its end: what it said, and whether it ended in time. Raises OSError
        if it was cut off."""
        deadline = time.monotonic() + timeout
        rest = memoryview(stdin)
        stdout = bytearray()
        self._sock.setblocking(False)
        with selectors.DefaultSelector() as selector:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if rest else 0)
            selector.register(self._sock, events)
            if not rest:
                self.shutdown_write()
            while True:
                left = deadline - time.monotonic()
                ready = selector.select(left) if left > 0 else ()
                if not ready:  # or output comes faster than it is read
                    return self._completed(stdout), False
                if rest and ready[0][1] & selectors.EVENT_WRITE:
                    rest = rest[self._send(rest) :]
                    if not rest:
                        self.shutdown_write()
                        selector.modify(self._sock, selectors.EVENT_READ)
                if ready[0][1] & selectors.EVENT_READ:
                    with contextlib.suppress(BlockingIOError):
                        data = self.recv(_READ)
                        if not data:
                            return self._completed(stdout), True
                        stdout += data
                        if len(stdout) > 2 * MAX_OUTPUT:
                            del stdout[:-MAX_OUTPUT]

    def _send(self, rest: memoryview) -> int:
        try:
            return self._sock.send(rest)
        except BlockingIOError:
            return 0
        except OSError:  # it takes no more
            return len(rest)

    def _completed(self, stdout: bytearray) -> Completed:
        status = self.channel.status
        return Completed(
            -1 if status is None else status,
            bytes(stdout[-MAX_OUTPUT:]),
            bytes(self.channel.stderr),
        )
