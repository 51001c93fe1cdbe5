"""Ports for what a test starts later, or starts again."""

from __future__ import annotations

import contextlib
import os
import random
import socket

_FIRST, _LAST = 20_000, 32_000
"""Below those that the system gives to clients: one of these could take the port of a server that
is down, or even connect to itself."""
_given: set[int] = set()


def free_port(address: str = "127.0.0.1") -> int:
    """A port that nobody holds, and that no other call returns: neither here nor in another worker
    of pytest-xdist, which may share the network."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    while True:
        port = random.SystemRandom().randrange(_FIRST + worker, _LAST, workers)
        with socket.socket(family) as sock, contextlib.suppress(OSError):
            sock.bind((address, port))
            if port not in _given:
                _given.add(port)
                return port
