"""Our end of a channel (RFC 4254 section 5): its numbers, its windows, EOF and CLOSE. No I/O."""

from __future__ import annotations

import time
from collections.abc import Callable

from paramiko import SSHException
from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_WINDOW_ADJUST,
)

from trayconnect.core.receive_window import ReceiveWindow, WindowExceededError

MAX_DATA = 32 << 10
"""Bytes of data in a packet, either way."""
_LARGEST_WINDOW = (1 << 32) - 1

Put = Callable[..., None]
"""Sends a message: its kind, and its numbers."""


class ChannelEnd:
    """Which messages have gone either way, and which may follow."""

    __slots__ = (
        "_put",
        "_window",
        "close_sent",
        "eof_sent",
        "far_eof",
        "max_data",
        "number",
        "peer",
        "send_window",
    )

    def __init__(self, number: int, window: ReceiveWindow, put: Put) -> None:
        self.number = number
        self.peer = -1
        """Its number at the server; less than 0: the server has not opened it yet."""
        self.send_window = 0
        """Bytes that may be sent now."""
        self.max_data = 0
        """Bytes of data that one packet may have."""
        self.eof_sent = False
        self.close_sent = False
        self.far_eof = False
        """The far end sends no more data."""
        self._window = window
        self._put = put

    def opened(self, peer: int, window: int, max_packet: int) -> None:
        """The server has opened it."""
        self.peer = peer
        self.send_window = window
        self.max_data = min(max_packet, MAX_DATA)

    # --- what the server sends --------------------------------------------------------------------

    def received(self, size: int) -> None:
        """So much data. Raises SSHException."""
        try:
            self._window.received(size)
        except WindowExceededError:
            raise SSHException("it ignores the window of a channel") from None

    def took(self, size: int) -> None:
        """So much of the data went on, or was dropped: let the server send as much again."""
        if self._window.consumed(size) and not self.far_eof and not self.close_sent:
            credit = self._window.grant(time.monotonic())
            if credit:
                self._put(MSG_CHANNEL_WINDOW_ADJUST, self.peer, credit)

    def ignored(self, size: int) -> None:
        """So much data that nobody wants. Raises SSHException."""
        self.received(size)
        self.took(size)

    def adjusted(self, size: int) -> None:
        """The server takes so much more. Raises SSHException."""
        self.send_window += size
        if self.send_window > _LARGEST_WINDOW:
            raise SSHException("it made the window of a channel too large")

    def requested(self) -> None:
        """The server wants an answer to a request. Raises SSHException."""
        if self.peer < 0:
            raise SSHException("a request for a channel that is not open")
        if not self.close_sent:
            self._put(MSG_CHANNEL_FAILURE, self.peer)

    # --- what we send -----------------------------------------------------------------------------

    @property
    def may_send(self) -> bool:
        """Whether data may be sent now."""
        return self.send_window > 0 and self.max_data > 0 and not self.eof_sent

    def send_eof(self) -> None:
        """No data follows."""
        self.eof_sent = True
        self._put(MSG_CHANNEL_EOF, self.peer)

    def send_close(self) -> None:
        """Nothing follows. Does nothing on a channel that is not open, or closed already."""
        if self.peer >= 0 and not self.close_sent:
            self.close_sent = True
            self._put(MSG_CHANNEL_CLOSE, self.peer)

    def release(self) -> None:
        """Give the window's share of the memory back."""
        self._window.close()
