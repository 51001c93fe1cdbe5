"""Carries bytes between one local connection and its stream, in two blocking threads.

Half-close passes in both directions: the end of one leaves the other open. Each direction waits
only for its own receiver, so that a stalled connection delays no other."""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import threading
import time
from collections.abc import Callable

from trayconnect.core.link import ByteStream
from trayconnect.forwarding.local_client import set_reset_on_close

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
        """Runs `sendall` on one thread until another thread calls `interrupt`.

        `shutdown` would also wake a blocked `send`, but it sends a FIN, and the client would take
        half a page for a whole one. `interrupt` keeps the connection, for a reset."""

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


READ_SIZE = 128 * 1024
"""Bytes per read; smaller reads make uploads 20 to 40 % slower."""
LINGER = 5.0
"""Seconds that a client has to close its side after the far end has closed. Closing a socket with
unread bytes resets the connection, and the client would lose what it has not read."""

Start = Callable[[Callable[[], None]], None]
"""Starts a job on another thread at once. Raises RuntimeError when no thread can be started."""


class Pump:
    """Call `run` once, on a thread of its own; it gets a second thread through `start`. Call
    `abort` from any other."""

    def __init__(self, client: socket.socket, stream: ByteStream, start: Start) -> None:
        self._client = client
        self._stream = stream
        self._sender = Sender(client)
        self._start = start
        self._downloaded = threading.Event()
        self._uploaded = threading.Event()
        self._aborted = False
        self._refusing = False
        """The far end accepts no more bytes."""
        self._finished = False
        """The far end sends no more bytes."""

    def run(self) -> None:
        """Carry until both directions ended, or the far end closed, or either side failed, or
        `abort`; then close both sides. A failure of one side is a reset for the other."""
        try:
            self._client.setblocking(True)
            if self._client.family in (socket.AF_INET, socket.AF_INET6):
                self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._start(self._download)
        except (OSError, RuntimeError):  # the client hung up, or no thread is left
            self.abort()
        else:
            self._upload()
            self._downloaded.wait()
        finally:
            self._stream.close()
            if self._aborted:
                set_reset_on_close(self._client)
            self._sender.close()
            self._client.close()

    def abort(self) -> None:
        """End both directions now, with a reset to the client. Never raises."""
        self._aborted = True
        if sys.platform == "win32":
            set_reset_on_close(self._client)
            self._client.close()  # on Windows, only this wakes a blocked call
        else:
            self._shut(socket.SHUT_RD)
            self._sender.interrupt()
        self._stream.close()

    def _upload(self) -> None:
        try:
            self._carry_up()
        except OSError:
            self.abort()
        if not self._aborted:
            self._stream.shutdown_write()
        self._uploaded.set()

    def _carry_up(self) -> None:
        buffer = memoryview(bytearray(READ_SIZE))
        while size := self._client.recv_into(buffer):
            if not self._refusing:
                self._send(buffer[:size])
            if self._refusing and self._finished:
                self._linger(buffer)
                return

    def _linger(self, buffer: memoryview) -> None:
        """Discard what the client sends until it closes, for at most `LINGER`: the far end's last
        answer ("413 Too Large") must still reach the client."""
        deadline = time.monotonic() + LINGER
        with contextlib.suppress(OSError):
            while (left := deadline - time.monotonic()) > 0:
                self._client.settimeout(left)
                if not self._client.recv_into(buffer):
                    return

    def _send(self, data: memoryview) -> None:
        try:
            self._stream.sendall(data)
        except OSError:
            self._refusing = True

    def _download(self) -> None:
        try:
            self._carry_down()
        finally:
            self._downloaded.set()

    def _carry_down(self) -> None:
        try:
            while data := self._stream.recv(READ_SIZE):
                self._sender.sendall(data)
        except OSError:
            self.abort()
            return
        self._finished = True
        if self._aborted:
            return
        self._shut(socket.SHUT_WR)
        if (self._refusing or self._stream.is_over) and not self._uploaded.wait(LINGER):
            self._shut(socket.SHUT_RD)

    def _shut(self, direction: int) -> None:
        with contextlib.suppress(OSError):
            self._client.shutdown(direction)
