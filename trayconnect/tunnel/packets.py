"""paramiko's packet codec, watched: what came first, and when something came last."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

from paramiko import Message
from paramiko.packet import Packetizer

_TELLING = ("SSH-", "HTTP/", "<", "\N{REPLACEMENT CHARACTER}")


class Packets(Packetizer):
    """paramiko's packet codec, which also notes what its callers cannot see."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.last_received = time.monotonic()
        """When the last whole packet came."""
        self.greeting: list[str] = []
        """The lines that came before SSH packets; the last is the SSH identification, if any."""
        self.on_greeting: Callable[[], None] = lambda: None

    @property
    def is_ssh(self) -> bool:
        """Whether an SSH identification came (RFC 4253 section 4.2)."""
        return bool(self.greeting) and self.greeting[-1].startswith("SSH-")

    def start_handshake(self, timeout: float) -> None:
        """Nothing: whoever waits for the handshake limits it; paramiko would leave a timer."""

    def readline(self, timeout: float) -> str:  # noqa: ARG002 - as above
        try:
            line = super().readline(threading.TIMEOUT_MAX)
        except UnicodeDecodeError:
            line = "\N{REPLACEMENT CHARACTER}"
        self.greeting.append(line)
        # Any other line may precede the SSH one.
        if line.startswith(_TELLING):
            self.on_greeting()
        return line

    def read_message(self) -> tuple[int, Message]:
        result = super().read_message()
        self.last_received = time.monotonic()
        return result
