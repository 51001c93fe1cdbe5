"""A remote program whose standard streams are a byte stream."""

from __future__ import annotations

import contextlib
import threading

from paramiko.common import cMSG_CHANNEL_REQUEST

from trayconnect.ssh.auth.data_types import ssh_message
from trayconnect.ssh.transport.channels import ChannelStream, SshChannel

_KEPT = 4096
"""Bytes of its standard error."""
_READ = 32 << 10


class SshProgram(ChannelStream):
    """`link.RemoteProgram` over the channel of a command that runs."""

    def __init__(self, channel: SshChannel, name: str) -> None:
        """`name` is that of a server. Raises RuntimeError if no thread can be started."""
        super().__init__(channel)
        self._stderr = bytearray()
        # Unread, it would fill the window, and the program would block.
        self._reader = threading.Thread(
            target=self._collect, name=f"tc-program stderr {name}", daemon=True
        )
        self._reader.start()

    @property
    def said(self) -> bytes:
        return bytes(self._stderr[-_KEPT:])

    @property
    def status(self) -> int | None:
        ended = self._channel.status_event.is_set() and self._channel.exit_status >= 0
        return self._channel.exit_status if ended else None

    def close(self) -> None:
        """Tell it to end, too (RFC 4254 section 6.9): one that waits for something else does not
        notice the end of its input."""
        if not self._channel.closed and not self._channel.status_event.is_set():
            number = self._channel.remote_chanid
            with contextlib.suppress(OSError, EOFError):
                self._channel.outlet.send(
                    ssh_message(cMSG_CHANNEL_REQUEST, number, "signal", False, "TERM")
                )
        super().close()

    def _collect(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            while data := self._channel.recv_stderr(_READ):
                self._stderr += data
                del self._stderr[:-_KEPT]
