"""Waiting for what happens soon, and ending what waits."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
IN_VAIN = "in vain for"


def wait_for(condition: Callable[[], T], what: str, limit: float = 90.0) -> T:
    """The first true value of `condition`; fails the test after `limit` seconds.

    It waits as long as a look takes, so that looking leaves the processor to what is waited for."""
    deadline = time.monotonic() + limit
    while True:
        began = time.monotonic()
        value = condition()
        if value:
            return value
        now = time.monotonic()
        if now > deadline:
            raise AssertionError(f"waited {limit:g} s {IN_VAIN} {what}")
        time.sleep(min(max(0.02, now - began), 0.5))


def end_accept(listening: socket.socket) -> None:
    """Wake the thread that waits in `accept`: it gets an error, or on Windows a connection."""
    with contextlib.suppress(OSError):  # Windows: a listener is not connected
        listening.shutdown(socket.SHUT_RDWR)
    if sys.platform == "win32":
        with contextlib.suppress(OSError):
            socket.create_connection(listening.getsockname(), 10.0).close()
