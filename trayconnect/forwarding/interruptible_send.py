"""Sending to a client so that another thread can break it off.

`shutdown` would wake a blocked `send` too, but it sends a FIN, and the client would take half a
page for a whole one. `Sender.interrupt` leaves the connection as it is, for a reset.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sys

if sys.platform == "win32":

    class Sender:
        """Does `sendall` on one thread until `interrupt` is called on another."""

        def __init__(self, sock: socket.socket) -> None:
            self._sock = sock

        def sendall(self, data: bytes) -> None:
            """Block until the system has taken all. Raises OSError, also when interrupted."""
            self._sock.sendall(data)

        def interrupt(self) -> None:
            """Nothing: here the closing of the socket, which the caller does, ends a `sendall`."""

        def close(self) -> None:
            """After the last `sendall`; the socket itself is the caller's."""

else:
    _LOOK_MILLISECONDS = 100

    class Sender:
        """Does `sendall` on one thread until `interrupt` is called on another."""

        def __init__(self, sock: socket.socket) -> None:
            self._sock = sock
            self._interrupted = False
            self._waker: tuple[socket.socket, socket.socket] | None = None

        def sendall(self, data: bytes) -> None:
            """Block until the system has taken all. Raises OSError, also when interrupted."""
            sent = self._send(data)
            if sent < len(data):
                rest = memoryview(data)[sent:]
                while rest:
                    self._wait()
                    rest = rest[self._send(rest) :]

        def interrupt(self) -> None:
            """End a `sendall` that blocks, now and in the future. Never raises."""
            self._interrupted = True
            waker = self._waker
            if waker is not None:
                with contextlib.suppress(OSError):  # closed: nobody waits any more
                    waker[1].send(b"\0")

        def close(self) -> None:
            """After the last `sendall`; the socket itself is the caller's."""
            for each in self._waker or ():
                each.close()

        def _send(self, data: bytes | memoryview) -> int:
            # Not a non-blocking socket: another thread blocks in its recv.
            try:
                return self._sock.send(data, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return 0

        def _wait(self) -> None:
            if self._waker is None:  # few clients are slower than their tunnel
                with contextlib.suppress(OSError):  # out of descriptors: looks again and again
                    self._waker = socket.socketpair()
            if not self._interrupted:  # looked at once `interrupt` can see the waker
                poll = select.poll()
                poll.register(self._sock, select.POLLOUT)
                if self._waker is not None:
                    poll.register(self._waker[0], select.POLLIN)
                poll.poll(None if self._waker is not None else _LOOK_MILLISECONDS)
            if self._interrupted:
                raise ConnectionAbortedError("interrupted")
