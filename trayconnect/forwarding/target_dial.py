"""TCP and UNIX connections to the target of a remote forward on this side."""

from __future__ import annotations

import socket
import sys

from trayconnect.core.endpoints import Endpoint, TcpEndpoint

CONNECT_SECONDS = 4.0
"""The target is on this computer or near it, and closing a session waits for the connect."""


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
