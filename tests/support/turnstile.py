"""A TCP relay that counts round trips."""

from __future__ import annotations

import selectors
import socket
import threading
from contextlib import ExitStack, suppress

from tests.support.scoped import Scoped

QUIET = 0.15
"""Seconds for both ends to answer what arrived."""
_CHUNK = 1 << 16


class Turnstile(Scoped):
    """Leads to `port` of this machine. What both ends send is held until neither sends any more,
    and is then delivered both ways at once: as over a line whose delay is longer than everything
    else takes."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._deliveries = 0
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []

    @property
    def round_trips(self) -> float:
        """Of all connections so far, without those of TCP's handshakes."""
        return self._deliveries / 2

    def start(self) -> None:
        self._spawn(self._accept)

    def close(self) -> None:
        for sock in (self._listener, *self._sockets):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(30)
        for sock in self._sockets:
            sock.close()

    def _spawn(self, job: object, *arguments: socket.socket) -> None:
        assert callable(job)
        thread = threading.Thread(target=job, args=arguments, name="turnstile", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                for sock in (near, far):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets += [near, far]
                self._spawn(self._carry, near, far)

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        with ExitStack() as leaving, suppress(OSError):
            for sock in (near, far):
                leaving.callback(_shut_down, sock)
            selector = leaving.enter_context(selectors.DefaultSelector())
            held = {near: b"", far: b""}
            for sock in held:
                selector.register(sock, selectors.EVENT_READ)
            ended = False
            while not ended:
                ready = selector.select(QUIET if any(held.values()) else None)
                for key, _ in ready:
                    assert isinstance(key.fileobj, socket.socket)
                    data = key.fileobj.recv(_CHUNK)
                    held[key.fileobj] += data
                    ended |= not data
                if not ready or ended:
                    self._deliveries += 1
                    far.sendall(held[near])
                    near.sendall(held[far])
                    held = {near: b"", far: b""}


def _shut_down(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
