"""Lines between a command and the running app: what Unix sockets and Windows pipes share."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Protocol


class OtherUserError(PermissionError):
    """The other side is not the same user."""


class ControlConnection(Protocol):
    """One end of a connection between a command and the running app. For one thread, except where
    noted. Methods also raise OSError when the other end has gone."""

    def authenticate(self, timeout: float) -> None:
        """Make sure that the other end is the same user. Raises `OtherUserError`, EOFError, and
        TimeoutError after `timeout` seconds."""
        ...

    def receive(self, limit: int, timeout: float) -> bytes:
        """The line that the other end sends, at most `limit` bytes; with whatever follows it, which
        the protocol refuses.

        Raises `ProtocolError` for a longer one, EOFError when the other end hangs up or after
        `stop_reading`, TimeoutError if it is not complete after `timeout` seconds."""
        ...

    def send(self, line: bytes, timeout: float) -> None:
        """Raises TimeoutError if the other end does not read it within `timeout` seconds."""
        ...

    def wait_hangup(self) -> None:
        """Block until the other end hangs up or sends more, or until `stop_reading`. Never
        raises."""
        ...

    def stop_reading(self) -> None:
        """From any thread: end `receive` and `wait_hangup`, permanently. Never raises."""
        ...

    def abort(self) -> None:
        """From any thread: end the calls that block on this connection. Never raises."""
        ...

    def close(self) -> None:
        """Hang up, when no other thread uses the connection. Never raises."""
        ...


class ControlListener(Protocol):
    """The running app's end: accepts connections."""

    def accept(self) -> ControlConnection | None:
        """Block for the next one; None after `stop`. Raises OSError, after which it may be called
        again."""
        ...

    def stop(self) -> None:
        """From any thread: end `accept`, and let no command find this end. Never raises."""
        ...

    def close(self) -> None:
        """Release everything, once `accept` has ended. Never raises."""
        ...


class Transport(Protocol):
    """A kind of connection. `folder` is that of `place.runtime_folder`."""

    def listen(self, folder: Path) -> ControlListener:
        """Replace what an owner that died has left; the caller holds the instance lock. Raises
        OSError."""
        ...

    def connect(self, folder: Path, timeout: float) -> ControlConnection:
        """Reach the running app, not yet authenticated. Raises FileNotFoundError or
        ConnectionRefusedError when there is none, and other OSErrors."""
        ...


def default_transport() -> Transport:
    """The one of this system."""
    if sys.platform == "win32":
        from trayconnect.control.transport_pipe import PipeTransport as SystemTransport
    else:
        from trayconnect.control.transport_unix import UnixTransport as SystemTransport
    return SystemTransport()


def seconds_left(deadline: float) -> float:
    """Seconds until that moment of `time.monotonic`. Raises TimeoutError if it is past."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
