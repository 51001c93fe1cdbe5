"""Connections of remote forwards: dials their targets on this computer."""

from __future__ import annotations

import logging
import socket
import sys
import threading

from trayconnect.core.endpoints import Endpoint, TcpEndpoint
from trayconnect.core.link import Incoming
from trayconnect.forwarding.workers import Workers

_log = logging.getLogger(__name__)

INCOMING_LIMIT = 256
"""Limit for the connections that are open at once: the server decides how many it sends."""
CONNECT_SECONDS = 4.0
"""The target is on this computer or near it, and closing a session waits for the connect."""


class Arrivals:
    """From any thread; returns at once."""

    def __init__(self, name: str, workers: Workers) -> None:
        self._name = name
        self._workers = workers
        self._lock = threading.Lock()
        self._open = 0

    def take(self, incoming: Incoming, target: Endpoint) -> None:
        """Carry a connection to `target`, as seen from here."""
        with self._lock:
            fits = self._open < INCOMING_LIMIT
            self._open += fits
        if not fits:
            incoming.refuse("too many connections", busy=True)
            return
        try:
            self._workers.start(lambda: self._receive(incoming, target))
        except RuntimeError as error:
            _log.warning("%s: refused a connection: %s", self._name, error)
            incoming.refuse("no more threads", busy=True)
            self._ended()

    def _receive(self, incoming: Incoming, target: Endpoint) -> None:
        try:
            local = dial(target)
        except (OSError, UnicodeError) as error:
            _log.info("%s: nothing answers on %s here: %s", self._name, target, error)
            incoming.refuse(f"connect failed: {error}")
            self._ended()
            return
        try:
            local.setblocking(False)
            incoming.accept(local, self._ended)
        except OSError:  # the link has ended
            local.close()
            self._ended()

    def _ended(self) -> None:
        with self._lock:
            self._open -= 1


def dial(target: Endpoint) -> socket.socket:
    """Raises OSError, TimeoutError after `CONNECT_SECONDS` for each address."""
    if isinstance(target, TcpEndpoint):
        return socket.create_connection((target.host, target.port), CONNECT_SECONDS)
    return _dial_unix(target.path)


if sys.platform == "win32":

    def _dial_unix(path: str) -> socket.socket:
        raise OSError(f"Python has no UNIX sockets on Windows, such as {path}")

else:

    def _dial_unix(path: str) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(CONNECT_SECONDS)
            sock.connect(path)
        except BaseException:
            sock.close()
            raise
        return sock
