"""The send queue of a transport: only bulk data waits for its turn, and nothing follows a CLOSE.

It works around two bugs of paramiko 5.1.

A channel releases its lock before it passes a message to the transport, so a writer's data can
follow the CLOSE with which the transport's thread answers the server. OpenSSH treats a message for
a closed channel as a protocol error and disconnects: one service that reset its connections again
and again ended the whole link.

The transport's thread answers closed channels itself. If it waited there, for the end of a key
re-exchange or for a blocked writer, no thread would read the awaited packet. The same holds for
every caller that must not hang on a frozen server: one that closes a stream, or sends a keepalive
request."""

from __future__ import annotations

import select
import socket
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from paramiko import Message, SSHException
from paramiko.common import MSG_CHANNEL_CLOSE, MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA

if TYPE_CHECKING:
    from trayconnect.ssh.transport.ssh_transport import SshTransport

MAX_POSTED = 1 << 14
"""More messages than ever wait for a server that reads the answers to its requests."""
HELPER_IDLE = 5.0
"""Seconds after which the helper thread ends if nothing is posted."""
_BULK = (MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA)


class ChannelOutlet:
    """The transport as one paramiko channel sees it."""

    def __init__(self, transport: SshTransport) -> None:
        self._transport = transport
        self._closed = False

    def send(self, message: Message) -> None:
        """Data waits for its turn; every other message is posted."""
        outbox = self._transport.outbox
        (outbox.send if message.asbytes()[0] in _BULK else outbox.post)(message, self)

    _send_user_message = send  # paramiko's name for it

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a transport has
        return getattr(self._transport, name)

    def admits(self, message: Message) -> bool:
        """Whether a message may be sent; the caller holds the transport's sending lock."""
        if self._closed:
            return False
        self._closed = message.asbytes()[0] == MSG_CHANNEL_CLOSE
        return True


class SendQueue:
    """Outgoing messages of one transport."""

    def __init__(self, transport: SshTransport) -> None:
        self._transport = transport
        self._posted: deque[tuple[Message, ChannelOutlet | None]] = deque()
        self._wake = threading.Condition()
        self._helper: threading.Thread | None = None
        """The present thread, or the last one."""
        self._is_helped = False

    def post(self, message: Message, outlet: ChannelOutlet | None = None) -> None:
        """Send a small message as soon as possible, after those posted before; never waits."""
        self.queue(message, outlet)
        self.flush()

    def queue(self, message: Message, outlet: ChannelOutlet | None = None) -> None:
        """As `post`, but send it with the next `flush`."""
        if len(self._posted) >= MAX_POSTED and threading.current_thread() is self._transport:
            # The server sends requests without reading the answers; this ends the transport.
            raise SSHException("it does not read our answers")
        self._posted.append((message, outlet))

    def send(self, message: Message, outlet: ChannelOutlet) -> None:
        """Send after everything posted; blocks while the peer does not read.

        Raises EOFError when the transport ends meanwhile."""
        transport = self._transport
        while transport.active:
            # Not set during a key exchange; the limit covers one that ends in between.
            transport.clear_to_send.wait(0.1)
            with transport.clear_to_send_lock:
                if transport.clear_to_send.is_set():
                    self._drain()
                    if outlet.admits(message):
                        transport.write(message)
                    return
        raise EOFError

    def flush(self) -> None:
        """Send the posted messages if nothing blocks, and leave them to a helper thread
        otherwise."""
        transport = self._transport
        if not (self._posted and transport.active and transport.clear_to_send.is_set()):
            return  # the end of the key exchange flushes
        lock = transport.clear_to_send_lock
        if transport.can_write() and lock.acquire(blocking=False):
            try:
                while self._posted and transport.can_write():
                    self._send_next()
            except (EOFError, OSError):
                return  # the transport's reader detects it, and ends the transport
            finally:
                lock.release()
        if self._posted:
            self.wake_helper()

    def wake_helper(self) -> None:
        """Leave the posted messages to the helper thread."""
        with self._wake:
            if not self._is_helped:
                name = self._transport.name.replace("tc-transport", "tc-outbox", 1)
                helper = threading.Thread(target=self._help, name=name, daemon=True)
                try:
                    helper.start()
                except RuntimeError:  # no more threads: the next message sends these along
                    return
                self._helper, self._is_helped = helper, True
            self._wake.notify_all()

    def close(self, timeout: float) -> None:
        """End the helper thread; the transport is no longer active."""
        with self._wake:
            helper = self._helper
            self._wake.notify_all()
        if helper is not None and helper is not threading.current_thread():
            helper.join(timeout)

    def _drain(self) -> None:
        while self._posted:
            self._send_next()

    def _send_next(self) -> None:
        message, outlet = self._posted.popleft()
        if outlet is None or outlet.admits(message):
            self._transport.write(message)

    def _help(self) -> None:
        transport = self._transport
        while True:
            with self._wake:
                # Checked with the lock held, under which `close` notifies after the end.
                while transport.active and not (self._posted and transport.clear_to_send.is_set()):
                    if not self._wake.wait(1 if self._posted else HELPER_IDLE) and not self._posted:
                        self._is_helped = False
                        return
            if not transport.active:
                return
            try:
                with transport.clear_to_send_lock:
                    if transport.clear_to_send.is_set():
                        self._drain()
            except (EOFError, OSError):
                return


if sys.platform == "win32":

    def _poll(sock: socket.socket) -> bool:
        return bool(select.select([], [sock], [], 0)[1])
else:

    def _poll(sock: socket.socket) -> bool:
        poll = select.poll()  # select() fails for descriptors above 1023
        poll.register(sock, select.POLLOUT)
        return bool(poll.poll(0))


def is_writable(sock: socket.socket) -> bool:
    """Whether a small message can be sent without waiting."""
    try:
        return _poll(sock)
    except (OSError, ValueError):
        return False
