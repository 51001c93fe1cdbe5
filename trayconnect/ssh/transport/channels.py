"""paramiko's channels, for commands and probes, and byte streams over them."""

from __future__ import annotations

import contextlib
import threading
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

from trayconnect.ssh.auth.data_types import ssh_message, string, uint32
from trayconnect.ssh.transport.packetizer import Packetizer

_SLACK_PACKETS = 10  # as OpenSSH: some servers count slightly wrong
_CHUNK = 32 << 10  # the content of one packet; paramiko copies the whole argument each time
AHEAD = 32 << 10
"""Bytes of input that may go out with the request for a command."""
_BULK = (MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA)


def tcp_fields(host: str, port: int, origin: tuple[str, int]) -> bytes:
    """The fields of a channel of kind "direct-tcpip" (RFC 4254 section 7.2)."""
    return b"".join(
        (string(host.encode()), uint32(port), string(origin[0].encode()), uint32(origin[1]))
    )


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
        def _handle_close(self, m: Message) -> None: ...

        in_buffer: BufferedPipe[bytes]
        in_stderr_buffer: BufferedPipe[bytes]

    def __init__(self, number: int, outlet: ChannelOutlet, window: int, max_packet: int) -> None:
        super().__init__(number)
        self.outlet = outlet
        self._set_transport(outlet)
        self._set_window(window, max_packet)
        self.far_closed = threading.Event()
        """Set once the server has closed it, or the transport has ended: a session's command is
        over by then, unlike at our own `close`."""
        self._lent = 0
        """Bytes of `out_window_size` that the server has yet to grant."""
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
        self.far_closed.set()

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

    def far_close(self, message: Message) -> None:
        """The server closes it (RFC 4254 section 5.3)."""
        self._handle_close(message)
        self.far_closed.set()

    def _check_unread(self) -> None:
        if len(self.in_buffer) + len(self.in_stderr_buffer) > self._most_unread:
            raise paramiko.SSHException("it ignores the window of a channel")

    def start_command(self, command: str, stdin: bytes, deadline: float) -> bool:
        """Request a command (RFC 4254 section 6.5), whose input begins with `stdin`, at most
        `AHEAD` bytes. Returns whether the server runs it.

        The input goes out with the request if there is a window for it. Raises TimeoutError after
        `deadline` of the monotonic clock."""
        message = ssh_message(cMSG_CHANNEL_REQUEST, self.remote_chanid, "exec", True, command)
        self._event_pending()
        if self.closed:  # check this first: nothing sets the event after the end
            return False
        self.outlet.send(message)
        self._lend_window()
        goes_ahead = self.out_window_size >= len(stdin)
        if goes_ahead:
            self._send_input(stdin, deadline)
        if not self.event.wait(max(0.0, deadline - time.monotonic())):
            raise TimeoutError
        if self.event_ready and not goes_ahead:
            self._send_input(stdin, deadline)
        return self.event_ready

    def _lend_window(self) -> None:
        """OpenSSH's server grants its first window with the command's start. It takes data that
        comes behind the request all the same, since it has started the command by then, or it drops
        the data with a command that it refuses. Waiting would take a round trip."""
        with self.lock:
            if self.out_window_size == 0 and "OpenSSH" in self.outlet.remote_version:
                self.out_window_size = self._lent = AHEAD

    def adjusted(self, message: Message) -> None:
        """The server grants more of the window (RFC 4254 section 5.2)."""
        size = message.get_int()
        with self.lock:
            repaid = min(size, self._lent)
            self._lent -= repaid
            self.out_window_size += size - repaid
            self.out_buffer_cv.notify_all()

    def _send_input(self, data: bytes, deadline: float) -> None:
        """A command may end, or be refused, before it has read its input."""
        self.settimeout(max(0.0, deadline - time.monotonic()))
        try:
            self.send_all(data, deadline)
        except TimeoutError:
            raise
        except OSError:
            return

    def send_all(self, data: bytes | memoryview, deadline: float | None = None) -> None:
        """Send all data; blocks while the server grants no window. Raises OSError: TimeoutError
        after `deadline` of the monotonic clock, without one after the channel's own timeout, which
        a reader may change meanwhile."""
        view = memoryview(data)
        while view:
            try:
                sent = self.send(bytes(view[:_CHUNK]))
            except TimeoutError:
                if deadline is None or time.monotonic() >= deadline:
                    raise
                continue
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
