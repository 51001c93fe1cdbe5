"""paramiko's packet codec with limits, which records the first lines and the time of the last
packet."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from paramiko import Message, SSHException
from paramiko.packet import Packetizer

from trayconnect.core import sanitize

MAX_PACKET_BYTES = 256 << 10
"""As OpenSSH. paramiko would read and buffer any length that a server claims, up to 4 GiB."""
MAX_GREETING_BYTES = 8 << 10
"""Limit for one line before the SSH packets, as OpenSSH; the identification itself may have 255
bytes (RFC 4253 section 4.2)."""
_BINARY = re.compile(r"[\0-\x08\x0e-\x1a\x1c-\x1f]")
_RECOGNIZABLE = ("SSH-", "HTTP/", "<", "\N{REPLACEMENT CHARACTER}")


class _EndlessLineError(Exception):
    """A line before the SSH packets exceeds the limit."""


if TYPE_CHECKING:

    class _PacketizerBase(Packetizer):
        """paramiko's class, with an internal that is used here; a unit test checks that it
        exists."""

        def _read_timeout(self, timeout: float) -> bytes: ...
else:
    _PacketizerBase = Packetizer


class BoundedPacketizer(_PacketizerBase):
    """paramiko's packet codec, which also records what its callers cannot see."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.last_received = time.monotonic()
        """When the last complete packet was received."""
        self.greeting: list[str] = []
        """The lines before the SSH packets, for people; the last is the SSH identification, if
        any."""
        self.is_ssh = False
        """Whether an SSH identification was received (RFC 4253 section 4.2)."""
        self._line_bytes = 0
        self.on_greeting: Callable[[], None] = lambda: None

    def start_handshake(self, timeout: float) -> None:
        """Does nothing: the caller limits the handshake; paramiko would leave a timer."""

    def readline(self, timeout: float) -> str:  # noqa: ARG002 - as above
        self._line_bytes = 0
        try:
            line = super().readline(threading.TIMEOUT_MAX)
        except UnicodeDecodeError as error:
            # A line in Latin-1 may precede the SSH identification, or be a web server's.
            line = error.object.decode("latin-1")
            if line.startswith("SSH-") or _BINARY.search(line):
                line = f"\N{REPLACEMENT CHARACTER}{line}"
        except _EndlessLineError:
            line = "\N{REPLACEMENT CHARACTER}"
        self.greeting.append(sanitize.line(line))
        self.is_ssh = line.startswith("SSH-")
        # Any other line may precede the SSH identification.
        if line.startswith(_RECOGNIZABLE):
            self.on_greeting()
        return line

    def _read_timeout(self, timeout: float) -> bytes:
        data = super()._read_timeout(timeout)
        self._line_bytes += len(data)
        if self._line_bytes > MAX_GREETING_BYTES:
            raise _EndlessLineError
        return data

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        if n > MAX_PACKET_BYTES:
            raise SSHException(f"a packet of {n} bytes or more")
        return super().read_all(n, check_rekey)

    def read_message(self) -> tuple[int, Message]:
        result = super().read_message()
        self.last_received = time.monotonic()
        return result
