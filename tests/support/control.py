"""A control server in a short-lived folder, and a look at what it leaves behind."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trayconnect.control.lock import InstanceLock
from trayconnect.control.server import ControlServer, Handler, Limits
from trayconnect.control.transport import Transport
from trayconnect.control.transport_pipe import PipeTransport

PATIENCE = 90.0
"""Seconds after which something that should have happened did not."""


@contextmanager
def short_folder() -> Iterator[Path]:
    """A private folder whose path leaves room for a socket's name, unlike pytest's on macOS."""
    where = None if sys.platform == "win32" else "/tmp"
    with tempfile.TemporaryDirectory(prefix="tc-", dir=where) as name:
        yield Path(name)


def pipe_transport() -> PipeTransport:
    """Windows' own; elsewhere the same code over a socket."""
    return PipeTransport() if sys.platform == "win32" else _SocketTransport()


class _SocketTransport(PipeTransport):
    def _address(self, key: bytes) -> str:
        return f"/tmp/{super()._address(key).rpartition(chr(92))[2]}"


@contextmanager
def serving(
    folder: Path,
    handler: Handler,
    *,
    transport: Transport | None = None,
    limits: Limits | None = None,
) -> Iterator[ControlServer]:
    """A started server that holds the lock of `folder`."""
    lock = InstanceLock(folder)
    assert lock.acquire()
    server = ControlServer(lock, handler, transport=transport, limits=limits)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        lock.release()


@contextmanager
def nothing_left() -> Iterator[None]:
    """Assert that what goes on inside leaves no thread and no file descriptor."""
    gc.collect()  # what other tests left would be closed meanwhile
    threads, descriptors = set(threading.enumerate()), open_descriptors()
    yield
    left = [thread.name for thread in threading.enumerate() if thread not in threads]
    assert not left
    assert open_descriptors() == descriptors


def open_descriptors() -> int:
    """How many this process has open; 0 on Windows, where handles come and go with libraries."""
    if sys.platform == "win32":
        return 0
    table = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"  # noqa: PTH112
    return len(os.listdir(table))  # noqa: PTH208
