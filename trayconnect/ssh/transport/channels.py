"""paramiko's channels, for commands and probes, and byte streams over them."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko import Message
from paramiko.buffered_pipe import BufferedPipe
from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EXTENDED_DATA,
    cMSG_CHANNEL_REQUEST,
)

from trayconnect.ssh.auth.data_types import ssh_message
from trayconnect.ssh.transport.packetizer import Packetizer

_SLACK_PACKETS = 10  # as OpenSSH: some servers count slightly wrong
_CHUNK = 32 << 10  # the content of one packet; paramiko copies the whole argument each time
_BULK = (MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA)


class ChannelOutlet:
    """The transport as one paramiko channel sees it: bulk data waits for room, and nothing follows
    a CLOSE.

    A paramiko channel releases its lock before it passes a message to the transport, so a writer's
    data could follow the CLOSE with which the transport's thread answers the server. OpenSSH treats
    a message for a closed channel as a protocol error and disconnects: one service that reset its
    connections again and again ended the whole link."""

    def __init__(self, transport: paramiko.Transport, packetizer: Packetizer) -> None:
        self._transport = transport
        self._packetizer = packetizer
        self._closed = False

    def send(self, message: Message) -> None:
        """Raises EOFError for bulk data after the transport's end."""
        data = message.asbytes()
        if data[0] in _BULK and not self._packetizer.loop.is_here:
            self._packetizer.send_bulk(data, self)
        else:
            self._packetizer.post(data, self)

    _send_user_message = send  # paramiko's name for it

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a transport has
        return getattr(self._transport, name)

    def admits(self, message: bytes) -> bool:
        """Whether a message may be sent now. On the transport's thread."""
        if self._closed:
            return False
        self._closed = message[0] == MSG_CHANNEL_CLOSE
        return True


class SshChannel(paramiko.Channel):
    """A channel, used by blocking calls."""

    if TYPE_CHECKING:
        # The internals of paramiko that are used; a unit test checks that they exist.
        def _set_transport(self, transport: ChannelOutlet) -> None: ...
        def _set_window(self, window_size: int, max_packet_size: int) -> None: ...
        def _set_remote_channel(
            self, chanid: int, window_size: int, max_packet_size: int
        ) -> None: ...
        def _feed(self, m: Message) -> None: ...
        def _feed_extended(self, m: Message) -> None: ...
        def _event_pending(self) -> None: ...

        in_buffer: BufferedPipe[bytes]
        in_stderr_buffer: BufferedPipe[bytes]

    def __init__(self, number: int, outlet: ChannelOutlet, window: int, max_packet: int) -> None:
        super().__init__(number)
        self.outlet = outlet
        self._set_transport(outlet)
        self._set_window(window, max_packet)
        self._most_unread = window + _SLACK_PACKETS * max_packet
        self.cut_off = False
        """Whether its transport ended before the channel was closed. A server may close a channel
        without an EOF (RFC 4254 section 5.3), as those written in Go do: such a stream is
        complete."""

    def opened(self, number: int, window: int, max_packet: int) -> None:
        """The server opened the channel, with `number` on its side."""
        self._set_remote_channel(number, window, max_packet)

    def cut(self) -> None:
        """The transport has ended: wake every thread that waits for the channel."""
        if not self.closed:
            self.cut_off = True
        super()._unlink()  # type: ignore[misc]  # paramiko's

    _unlink = cut  # paramiko's name for it

    def feed(self, message: Message) -> None:
        """Process received data (RFC 4254 section 5.2). Raises SSHException for more than the
        window allows, which paramiko would buffer without limit."""
        self._feed(message)
        self._check_unread()

    def feed_extended(self, message: Message) -> None:
        """The same for stderr."""
        self._feed_extended(message)
        self._check_unread()

    def _check_unread(self) -> None:
        if len(self.in_buffer) + len(self.in_stderr_buffer) > self._most_unread:
            raise paramiko.SSHException("it ignores the window of a channel")

    def start_command(self, command: str, timeout: float) -> bool:
        """Request a command (RFC 4254 section 6.5). Returns whether the server runs it.

        Raises TimeoutError after `timeout` seconds."""
        message = ssh_message(cMSG_CHANNEL_REQUEST, self.remote_chanid, "exec", True, command)
        self._event_pending()
        if self.closed:  # check this first: nothing sets the event after the end
            return False
        self.outlet.send(message)
        if not self.event.wait(timeout):
            raise TimeoutError
        return self.event_ready

    def send_all(self, data: bytes | memoryview) -> None:
        """Send all data; blocks while the server grants no window. Raises OSError."""
        view = memoryview(data)
        while view:
            try:
                sent = self.send(bytes(view[:_CHUNK]))
            except EOFError:
                sent = 0
            if not sent:
                raise BrokenPipeError("the SSH channel is closed")
            view = view[sent:]

    def recv_within(self, size: int, deadline: float) -> bytes:
        """`recv` until `deadline` of the monotonic clock. Raises TimeoutError."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)
        return self.recv(size)


class ChannelStream:
    """`link.ByteStream` over a channel."""

    def __init__(self, channel: SshChannel) -> None:
        self._channel = channel
        self._closed = False

    def recv(self, size: int) -> bytes:
        data = self._channel.recv(size)
        if not data and not self._closed and self._channel.cut_off:
            raise ConnectionResetError("the SSH connection ended")
        return data

    @property
    def is_over(self) -> bool:
        return self._channel.closed

    def sendall(self, data: bytes | memoryview) -> None:
        self._channel.send_all(data)

    def shutdown_write(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            self._channel.shutdown_write()

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(OSError, EOFError):
            self._channel.close()
