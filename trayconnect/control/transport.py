"""How lines get from a command to the running app: what Unix sockets and Windows pipes share."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Protocol


class OtherUserError(PermissionError):
    """The other side is not the same user."""


class ControlConnection(Protocol):
    """One end of the way between a command and the running app; used by one thread, except where
    said otherwise.

    Apart from what is named, methods raise OSError when the other end has gone."""

    def authenticate(self, timeout: float) -> None:
        """Make sure that the other end is the same user. Raises `OtherUserError`, EOFError, and
        TimeoutError after `timeout` seconds."""
        ...

    def receive(self, limit: int, timeout: float) -> bytes:
        """The line that the other end sends, of at most `limit` bytes; what came along behind it
        is not cut off, and is for the protocol to refuse.

        Raises `ProtocolError` for a longer one, EOFError when the other end hangs up or after
        `stop_reading`, TimeoutError when it isn't complete after `timeout` seconds."""
        ...

    def send(self, line: bytes, timeout: float) -> None:
        """Raises TimeoutError when it isn't taken within `timeout` seconds."""
        ...

    def wait_hangup(self) -> None:
        """Block until the other end hangs up or says anything more, or until `stop_reading`.
        Never raises."""
        ...

    def stop_reading(self) -> None:
        """From any thread: end `receive` and `wait_hangup`, now and for ever. Never raises."""
        ...

    def abort(self) -> None:
        """From any thread: end whatever blocks on this link, soon. Never raises."""
        ...

    def close(self) -> None:
        """Hang up; no other thread may still use the link. Never raises."""
        ...


class ControlListener(Protocol):
    """The running app's end, before anyone is there."""

    def accept(self) -> ControlConnection | None:
        """Block for the next one; None after `stop`. Raises OSError, after which it may be called
        again."""
        ...

    def stop(self) -> None:
        """From any thread: end `accept`, and be found by nobody any more. Never raises."""
        ...

    def close(self) -> None:
        """Release everything, once `accept` has ended. Never raises."""
        ...


class Transport(Protocol):
    """A kind of way. The folder is one of `place.runtime_folder`."""

    def listen(self, folder: Path) -> ControlListener:
        """Take the place, also over what a dead owner left; the instance lock must be held.
        Raises OSError."""
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
    """Until that moment of `time.monotonic`, more than 0. Raises TimeoutError once it is past."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
