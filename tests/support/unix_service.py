"""A UNIX socket behind a forward, and a client of one."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.support.forwarding import LIMIT, echo

assert sys.platform != "win32"  # for mypy: there are none


@contextlib.contextmanager
def unix_echo(path: Path) -> Iterator[None]:
    """Listens there, and sends back what it gets."""
    threads: list[threading.Thread] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve(sock: socket.socket) -> None:
            with sock, contextlib.suppress(OSError):
                echo(sock)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = listening.accept()
                    threads.append(threading.Thread(target=serve, args=(sock,)))
                    threads[-1].start()

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for thread in (acceptor, *threads):
                thread.join(LIMIT)


def unix_dial(path: Path) -> socket.socket:
    """A client; every call of it is bounded."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(LIMIT)
    try:
        client.connect(str(path))
    except BaseException:
        client.close()
        raise
    return client
