"""Lines over a Unix socket; the kernel says who is at the other end."""

from __future__ import annotations

import logging
import os
import select
import selectors
import socket
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from trayconnect.control.address import SOCKET_NAME, peer_uid
from trayconnect.control.protocol import ProtocolError
from trayconnect.control.transport import OtherUserError, seconds_left

assert sys.platform != "win32"  # for mypy: the rest is not there

_log = logging.getLogger(__name__)

_BACKLOG = 128
_CHUNK = 64 * 1024
_RETRY_SECONDS = 0.02


class UnixTransport:
    """`uid` is who may be at the other end: by default, the user of this process."""

    def __init__(self, uid: int | None = None) -> None:
        self._uid = os.geteuid() if uid is None else uid

    def listen(self, folder: Path) -> UnixListener:
        return UnixListener(folder / SOCKET_NAME, self._uid)

    def connect(self, folder: Path, timeout: float) -> UnixLink:
        deadline = time.monotonic() + timeout
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            while True:
                sock.settimeout(seconds_left(deadline))
                try:
                    sock.connect(str(folder / SOCKET_NAME))
                except BlockingIOError:  # Linux: too many are waiting to be accepted
                    time.sleep(_RETRY_SECONDS)
                else:
                    return UnixLink(sock, self._uid)
        except BaseException:
            sock.close()
            raise


class UnixListener:
    def __init__(self, path: Path, uid: int) -> None:
        self._path = path
        self._uid = uid
        path.unlink(missing_ok=True)
        with ExitStack() as stack:
            self._socket = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            self._socket.setblocking(False)
            wake_receiver, wake_sender = socket.socketpair()
            self._wake_receiver = stack.enter_context(wake_receiver)
            self._wake_sender = stack.enter_context(wake_sender)
            self._selector = stack.enter_context(selectors.DefaultSelector())
            self._selector.register(self._socket, selectors.EVENT_READ)
            self._selector.register(self._wake_receiver, selectors.EVENT_READ)
            self._socket.bind(str(path))
            # Nobody can connect before listen: no need of an umask, which is the whole process's.
            path.chmod(0o600)
            self._identity = _identity(path)
            self._socket.listen(_BACKLOG)
            self._resources = stack.pop_all()

    def accept(self) -> UnixLink | None:
        while True:
            ready = {key.fileobj for key, _ in self._selector.select()}
            if self._wake_receiver in ready:
                return None
            with suppress(BlockingIOError, ConnectionAbortedError):  # it has left already
                sock, _ = self._socket.accept()
                return UnixLink(sock, self._uid)

    def stop(self) -> None:
        with suppress(OSError):
            if _identity(self._path) == self._identity:
                self._path.unlink()
        with suppress(OSError):
            self._wake_sender.send(b"\0")

    def close(self) -> None:
        self._resources.close()


class UnixLink:
    def __init__(self, sock: socket.socket, uid: int) -> None:
        self._socket = sock
        self._uid = uid

    def authenticate(self, timeout: float) -> None:  # noqa: ARG002 - the kernel knows at once
        uid = peer_uid(self._socket)
        if uid != self._uid:
            raise OtherUserError(f"the other end is user {uid}, not {self._uid}")

    def receive(self, limit: int, timeout: float) -> bytes:
        deadline = time.monotonic() + timeout
        received = bytearray()
        while True:
            self._socket.settimeout(seconds_left(deadline))
            chunk = self._socket.recv(min(_CHUNK, limit + 1 - len(received)))
            if not chunk:
                raise EOFError("hung up before the end of the line")
            received += chunk
            if len(received) > limit:
                raise ProtocolError(f"more than {limit} bytes")
            if b"\n" in chunk:
                return bytes(received)

    def send(self, line: bytes, timeout: float) -> None:
        self._socket.settimeout(timeout)
        self._socket.sendall(line)

    def wait_hangup(self) -> None:
        watched = select.poll()
        try:
            watched.register(self._socket, select.POLLIN)
            watched.poll()
        except (OSError, ValueError) as error:
            _log.debug("The other end is not watched: %s", error)

    def stop_reading(self) -> None:
        self._shutdown(socket.SHUT_RD)

    def abort(self) -> None:
        self._shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()

    def _shutdown(self, how: int) -> None:
        with suppress(OSError):  # it has hung up already
            self._socket.shutdown(how)


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino
