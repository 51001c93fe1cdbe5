"""A TCP proxy that stages the faults of a network."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable

from tests.support.scoped import Scoped

_CHUNK = 64 << 10
_RESET = struct.pack("ii", 1, 0)


class FaultyProxy(Scoped):
    """Listens on a loopback port and passes everything on to `host`:`port`, until told otherwise.

    The faults concern connections that are open and those that come later, until `heal`:
    `stall` stops reading, so that both ends' writers block; `blackhole` reads on and drops
    everything; `drip` passes a few bytes at a time. `corrupt` alters the last bit of the next bytes
    that the far end sends. `cut` ends the open connections."""

    host = "127.0.0.1"

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._healthy = threading.Event()
        self._healthy.set()
        self._blackhole = False
        self._drip: tuple[int, float] | None = None
        self._corrupt = threading.Event()
        self._closing = False
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        self._spawn(self._accept)

    def close(self) -> None:
        self._closing = True
        self.heal()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def lead_to(self, port: int) -> None:
        """Pass connections on to that port from now on."""
        self._upstream = (self._upstream[0], port)

    # --- faults -----------------------------------------------------------------------------------

    def stall(self) -> None:
        self._healthy.clear()

    def blackhole(self) -> None:
        self._blackhole = True

    def drip(self, size: int, pause: float) -> None:
        """Pass `size` bytes at most, then wait `pause` seconds."""
        self._drip = (size, pause)

    def corrupt(self) -> None:
        self._corrupt.set()

    def heal(self) -> None:
        """End stall, blackhole and drip."""
        self._blackhole = False
        self._drip = None
        self._healthy.set()

    def cut(self, *, reset: bool = False) -> None:
        """End the open connections, by FIN or by RST."""
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for sock in sockets:
            with contextlib.suppress(OSError):
                if reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    sock.close()
                else:
                    sock.shutdown(socket.SHUT_RDWR)
                    sock.close()

    # --- passing on -------------------------------------------------------------------------------

    def _spawn(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._upstream, timeout=10)
            except OSError:
                near.close()
                continue
            for sock in (near, far):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(None)
            with self._lock:
                self._sockets |= {near, far}
            self._spawn(self._pass, near, far)
            self._spawn(self._pass, far, near, self._corrupt)

    def _pass(
        self, source: socket.socket, sink: socket.socket, corrupt: threading.Event | None = None
    ) -> None:
        with contextlib.suppress(OSError, ValueError), selectors.DefaultSelector() as selector:
            selector.register(source, selectors.EVENT_READ)
            while not self._closing:
                self._healthy.wait()
                # A short wait, so that a cut or a stall is seen in between.
                if not selector.select(0.05):
                    if source.fileno() < 0:
                        return
                    continue
                if not self._healthy.is_set():
                    continue
                drip = self._drip
                data = source.recv(drip[0] if drip else _CHUNK)
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                if corrupt is not None and corrupt.is_set():
                    corrupt.clear()
                    data = data[:-1] + bytes([data[-1] ^ 1])
                if not self._blackhole:
                    sink.sendall(data)
                if drip:
                    time.sleep(drip[1])


class Peer(Scoped):
    """A listener that does what it is told with each connection."""

    def __init__(self, act: Callable[[socket.socket], None]) -> None:
        self._act = act
        self._open: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in self._open:
            sock.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self._open.append(sock)
            try:
                self._act(sock)
            except OSError:
                continue
