"""paramiko's packet codec, watched: what came first, and when something came last."""

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
"""As OpenSSH. paramiko would read, and keep, whatever length a server claims, up to 4 GiB."""
MAX_GREETING_BYTES = 8 << 10
"""For one of the lines before SSH's packets, as OpenSSH; its own may have 255 (RFC 4253 section
4.2)."""
_BINARY = re.compile(r"[\0-\x08\x0e-\x1a\x1c-\x1f]")
_TELLING = ("SSH-", "HTTP/", "<", "\N{REPLACEMENT CHARACTER}")


class _EndlessLineError(Exception):
    """A line before SSH's packets goes on and on."""


if TYPE_CHECKING:

    class _Base(Packetizer):
        """paramiko's, with an internal that is used; a unit test looks for it."""

        def _read_timeout(self, timeout: float) -> bytes: ...
else:
    _Base = Packetizer


class BoundedPacketizer(_Base):
    """paramiko's packet codec, which also notes what its callers cannot see."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.last_received = time.monotonic()
        """When the last whole packet came."""
        self.greeting: list[str] = []
        """The lines that came before SSH packets, for people; the last is the SSH identification,
        if any."""
        self.is_ssh = False
        """Whether an SSH identification came (RFC 4253 section 4.2)."""
        self._line_bytes = 0
        self.on_greeting: Callable[[], None] = lambda: None

    def start_handshake(self, timeout: float) -> None:
        """Nothing: whoever waits for the handshake limits it; paramiko would leave a timer."""

    def readline(self, timeout: float) -> str:  # noqa: ARG002 - as above
        self._line_bytes = 0
        try:
            line = super().readline(threading.TIMEOUT_MAX)
        except UnicodeDecodeError as error:
            # A line in Latin-1 may precede the SSH one, or be a web server's.
            line = error.object.decode("latin-1")
            if line.startswith("SSH-") or _BINARY.search(line):
                line = f"\N{REPLACEMENT CHARACTER}{line}"
        except _EndlessLineError:
            line = "\N{REPLACEMENT CHARACTER}"
        self.greeting.append(sanitize.line(line))
        self.is_ssh = line.startswith("SSH-")
        # Any other line may precede the SSH one.
        if line.startswith(_TELLING):
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
