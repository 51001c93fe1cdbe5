"""Sending to a client, interruptible from another thread.

`shutdown` would also wake a blocked `send`, but it sends a FIN, and the client would take half a
page for a whole one. `Sender.interrupt` keeps the connection, for a reset."""

from __future__ import annotations

import contextlib
import select
import socket
import sys

if sys.platform == "win32":

    class Sender:
        """Runs `sendall` on one thread until another thread calls `interrupt`."""

        def __init__(self, sock: socket.socket) -> None:
            self._sock = sock

        def sendall(self, data: bytes) -> None:
            """Block until the system has accepted all bytes. Raises OSError, also when
            interrupted."""
            self._sock.sendall(data)

        def interrupt(self) -> None:
            """Does nothing: here the caller's closing of the socket ends a `sendall`."""

        def close(self) -> None:
            """Call it after the last `sendall`. The caller owns the socket itself."""

else:
    _LOOK_MILLISECONDS = 100

    class Sender:
        """Runs `sendall` on one thread until another thread calls `interrupt`."""

        def __init__(self, sock: socket.socket) -> None:
            self._sock = sock
            self._interrupted = False
            self._waker: tuple[socket.socket, socket.socket] | None = None

        def sendall(self, data: bytes) -> None:
            """Block until the system has accepted all bytes. Raises OSError, also when
            interrupted."""
            sent = self._send(data)
            if sent < len(data):
                rest = memoryview(data)[sent:]
                while rest:
                    self._wait()
                    rest = rest[self._send(rest) :]

        def interrupt(self) -> None:
            """End a blocked `sendall` and every later one. Never raises."""
            self._interrupted = True
            waker = self._waker
            if waker is not None:
                with contextlib.suppress(OSError):  # closed: no thread waits
                    waker[1].send(b"\0")

        def close(self) -> None:
            """Call it after the last `sendall`. The caller owns the socket itself."""
            for each in self._waker or ():
                each.close()

        def _send(self, data: bytes | memoryview) -> int:
            # The socket stays blocking: another thread blocks in its recv.
            try:
                return self._sock.send(data, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return 0

        def _wait(self) -> None:
            if self._waker is None:  # most clients are faster than their tunnel
                with contextlib.suppress(OSError):  # out of descriptors: poll instead
                    self._waker = socket.socketpair()
            if (
                not self._interrupted
            ):  # `interrupt` can see the waker from here on, so check once more
                poll = select.poll()
                poll.register(self._sock, select.POLLOUT)
                if self._waker is not None:
                    poll.register(self._waker[0], select.POLLIN)
                poll.poll(None if self._waker is not None else _LOOK_MILLISECONDS)
            if self._interrupted:
                raise ConnectionAbortedError("interrupted")
