"""A channel that carries a local socket, on the transport's thread (RFC 4254 section 5)."""

from __future__ import annotations

import contextlib
import enum
import itertools
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from paramiko import SSHException
from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_WINDOW_ADJUST,
)

from trayconnect.core.link import Client
from trayconnect.core.sockets import reset, set_reset_on_close
from trayconnect.ssh.transport.event_loop import READ, WRITE, Timer, tell
from trayconnect.ssh.transport.packet_format import PAYLOAD_START
from trayconnect.ssh.transport.receive_window import ReceiveWindow, WindowExceededError

if TYPE_CHECKING:
    from trayconnect.ssh.transport.multiplexer import Multiplexer

MAX_DATA = 32 << 10
"""Bytes of data in a packet, either way."""
_AT_ONCE = 8
"""Packets that are made of one read."""
_DATA_START = PAYLOAD_START + 9
"""Message number, channel and length come before the data."""
LINGER = 5.0
"""Seconds that a client has to close its side after the far end has closed. Closing a socket with
unread bytes resets the connection, and the client would lose what it has not read."""
_DISCARD = 64 << 10
_MOST_PIECES = 64
"""Far below IOV_MAX (limits.h)."""
_Piece = bytes | memoryview
_LARGEST_WINDOW = (1 << 32) - 1
_BEYOND_WINDOW = "it ignores the window of a channel"


class Phase(enum.Enum):
    """Of a channel and its client."""

    OPENING = "opening"
    OPEN = "open"
    LINGERING = "lingering"
    """The server has closed the channel; the client still reads, or has not closed its side."""
    OVER = "over"
    """There is no client any more, and nothing is sent; the server may not know yet."""


class CarriedChannel:
    """Its fields belong to the transport's thread; `carry` and `close`, to any."""

    __slots__ = (
        "_close_sent",
        "_eof_sent",
        "_far_eof",
        "_is_given",
        "_max_data",
        "_mux",
        "_on_ended",
        "_on_touched",
        "_pending",
        "_queue",
        "_send_window",
        "_sends_much",
        "_sock",
        "_timer",
        "_unused",
        "_watched",
        "_window",
        "deadline",
        "number",
        "opened_at",
        "peer",
        "phase",
    )

    def __init__(self, mux: Multiplexer, number: int, window: ReceiveWindow) -> None:
        self._mux = mux
        self.number = number
        self.phase = Phase.OPENING
        self.peer = -1
        """Its number at the server."""
        self.opened_at = self.deadline = 0.0
        self._window = window
        self._send_window = 0
        self._max_data = 0
        self._sends_much = False
        self._sock: socket.socket | None = None
        self._watched = 0
        self._pending: list[_Piece] = []
        """Data in the packets that just arrived; it is to be delivered before they lose their
        place."""
        self._queue: deque[_Piece] = deque()
        """Data that the client did not take yet."""
        self._far_eof = False
        """The far end sends no more."""
        self._eof_sent = False
        """The client sends no more, and the server knows."""
        self._close_sent = False
        self._timer: Timer | None = None
        self._is_given = False
        """Whether it has had a client."""
        self._on_touched: Callable[[], None] | None = None
        self._unused: tuple[Client, Callable[[Client], None]] | None = None
        """The client, as long as no byte went either way, and who wants it back."""
        self._on_ended: Callable[[], None] | None = None

    # --- from any thread --------------------------------------------------------------------------

    @property
    def is_untouched(self) -> bool:
        """See `HeldChannel`."""
        return self.phase is Phase.OPEN and not self._queue and not self._far_eof

    def watch(self, on_touched: Callable[[], None]) -> None:
        """See `HeldChannel`."""

        def watch() -> None:
            self._on_touched = on_touched
            if not self.is_untouched:
                self._touched()

        if not self._mux.loop.run(watch):
            on_touched()

    def carry(
        self,
        client: Client,
        on_unused: Callable[[Client], None] | None = None,
        on_ended: Callable[[], None] | None = None,
    ) -> None:
        """See `HeldChannel`. `on_ended` is called once, when the client's socket has been
        closed."""
        self._is_given = True

        def carry() -> None:
            self._on_ended = on_ended
            if on_unused is not None:
                self._unused = (client, on_unused)
            self._carry(client)

        if not self._mux.loop.run(carry):
            reset(client.socket)
            if on_ended is not None:
                on_ended()

    def close(self) -> None:
        """See `HeldChannel`."""
        if not self._is_given:
            self._on_touched = None
            self._mux.loop.run(self.abort)

    # --- on the transport's thread: opening and closing -------------------------------------------

    def opened(self, peer: int, window: int, max_packet: int) -> None:
        """The server has opened it."""
        self.peer = peer
        self._send_window = window
        self._max_data = min(max_packet, MAX_DATA)
        self.phase = Phase.OPEN

    def abort(self) -> None:
        """End both sides now: a reset for the client."""
        self._send_close()
        self._drop(with_reset=True)

    def cut(self) -> None:
        """The transport has ended. A client that has not received everything gets a reset."""
        if not self._give_back():
            self._drop(with_reset=self.phase is not Phase.LINGERING or bool(self._queue))
        self._touched()

    def _carry(self, client: Client) -> None:
        self._on_touched = None
        self._sock = client.socket
        if self.phase not in (Phase.OPEN, Phase.LINGERING):
            if not self._give_back():
                self._drop(with_reset=True)
            return
        if self._far_eof and not self._queue and self._give_back():
            return
        with contextlib.suppress(OSError):  # a UNIX socket
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if client.reply or self._queue:
            self._unused = None
        try:
            if client.reply:
                client.socket.send(client.reply)  # the first few bytes always fit
        except OSError:
            self.abort()
            return
        self._mux.carries(self)
        if self._queue:
            self._deliver_queue()
        elif self._far_eof:
            self._finish_client()
        self.reconsider()

    def _touched(self) -> None:
        on_touched, self._on_touched = self._on_touched, None
        if on_touched is not None:
            tell(on_touched)

    def _give_back(self) -> bool:
        """Give the client back if no byte went either way; whether that is so."""
        unused, self._unused = self._unused, None
        if unused is None:
            return False
        self._unwatch()
        self._sock = None
        self._send_close()
        self._drop(with_reset=False)
        client, on_unused = unused
        if not tell(on_unused, client):
            client.socket.close()
        return True

    def _unwatch(self) -> None:
        if self._watched and self._sock is not None:
            self._mux.loop.watch(self._sock, self._watched, 0, self._on_event)
        self._watched = 0

    def _drop(self, *, with_reset: bool) -> None:
        self._unwatch()
        sock, self._sock = self._sock, None
        self.phase = Phase.OVER
        self._queue.clear()
        self._pending = []
        self._unused = None
        if self._timer is not None:
            self._timer.cancel()
        self._window.close()
        if sock is not None:
            if with_reset:
                set_reset_on_close(sock)
            sock.close()
        self._mux.over(self)
        on_ended, self._on_ended = self._on_ended, None
        if on_ended is not None:
            tell(on_ended)

    # --- from the server --------------------------------------------------------------------------

    def arrived(self, data: memoryview) -> None:
        """Data, which stays in its place until `flush`. Raises SSHException."""
        size = len(data)
        try:
            self._window.received(size)
        except WindowExceededError:
            raise SSHException(_BEYOND_WINDOW) from None
        if self._far_eof or self.phase is not Phase.OPEN:
            self._took(size)
            return
        if not self._pending:
            self._mux.dirty.append(self)
            self._unused = None
        self._pending.append(data)

    def ignored(self, size: int) -> None:
        """Data that no client wants. Raises SSHException."""
        try:
            self._window.received(size)
        except WindowExceededError:
            raise SSHException(_BEYOND_WINDOW) from None
        self._took(size)

    def flush(self) -> None:
        """Deliver what has arrived; keep a copy of what the client does not take now."""
        pieces, self._pending = self._pending, []
        if not pieces:
            return
        sock = self._sock
        sent = 0
        if sock is not None and not self._queue:
            try:
                sent = _send(sock, pieces)
            except BlockingIOError:
                pass
            except OSError:
                self.abort()
                return
        self._mux.received += sum(map(len, pieces))
        rest = sent
        for piece in pieces:
            if rest >= len(piece):
                rest -= len(piece)
            else:
                self._queue.append(bytes(piece[rest:]))
                rest = 0
        if sent:
            self._took(sent)
        if self._queue:
            if sock is None:
                self._touched()
            else:
                self._reconsider()

    def adjust(self, size: int) -> None:
        """The server takes so much more. Raises SSHException."""
        was_empty = self._send_window <= 0
        self._send_window += size
        if self._send_window > _LARGEST_WINDOW:
            raise SSHException("it made the window of a channel too large")
        if was_empty and self._sock is not None:
            self._reconsider()

    def far_eof(self) -> None:
        """The far end sends no more."""
        if self._far_eof or self.phase is not Phase.OPEN:
            return
        self._far_eof = True
        if self._sock is None:
            self._touched()
        elif not self._give_back() and not self._queue:
            self._finish_client()

    def far_close(self) -> None:
        """The server has closed the channel; it takes no more. A server may close one without an
        EOF (RFC 4254 section 5.3), as those written in Go do: what it sent is complete."""
        if self.phase is Phase.OPENING:
            return
        self._send_close()
        self._mux.forget(self)
        if self.phase is not Phase.OPEN:
            return
        self.phase = Phase.LINGERING
        self._far_eof = True
        if self._sock is None:
            self._touched()
        elif self._give_back():
            pass
        elif not self._queue:
            self._finish_client()
        else:
            self._reconsider()

    def refuse_request(self) -> None:
        """The server wants an answer to a request about the channel. Raises SSHException."""
        if self.peer < 0:
            raise SSHException("a request for a channel that is not open")
        if not self._close_sent:
            self._mux.put(MSG_CHANNEL_FAILURE, self.peer)

    def _send_close(self) -> None:
        if self.peer >= 0 and not self._close_sent:
            self._close_sent = True
            self._mux.put(MSG_CHANNEL_CLOSE, self.peer)

    # --- to the client ----------------------------------------------------------------------------

    def _deliver_queue(self) -> None:
        sock, queue = self._sock, self._queue
        assert sock is not None
        sent = 0
        try:
            while queue:
                now = _send(sock, list(itertools.islice(queue, _MOST_PIECES)))
                sent += now
                while queue and now >= len(queue[0]):
                    now -= len(queue.popleft())
                if now:
                    queue[0] = memoryview(queue[0])[now:]
                    break
        except BlockingIOError:
            pass
        except OSError:
            self.abort()
            return
        if sent:
            self._took(sent)
        if not queue and self._far_eof:
            self._finish_client()

    def _took(self, size: int) -> None:
        """The client has taken so much: let the server send on."""
        if self._window.consumed(size) and self.phase is Phase.OPEN and not self._far_eof:
            credit = self._window.grant(time.monotonic())
            if credit:
                self._mux.put(MSG_CHANNEL_WINDOW_ADJUST, self.peer, credit)

    def _finish_client(self) -> None:
        """Everything is delivered, and nothing follows."""
        assert self._sock is not None
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        if self.phase is Phase.LINGERING:
            if self._eof_sent:
                self._drop(with_reset=False)
                return
            if self._timer is None:
                when = time.monotonic() + LINGER
                self._timer = self._mux.loop.call_at(when, lambda: self._drop(with_reset=False))
        self._close_if_done()
        self.reconsider()

    def _close_if_done(self) -> None:
        """Close the channel when both sides send no more (RFC 4254 section 5.3)."""
        if self.phase is Phase.OPEN and self._eof_sent and self._far_eof and not self._queue:
            self._send_close()
            self._drop(with_reset=False)

    # --- from the client --------------------------------------------------------------------------

    def reconsider(self) -> None:
        """Whether to read on may have changed."""
        if self._sock is not None:
            self._reconsider()

    def _reconsider(self) -> None:
        sock = self._sock
        assert sock is not None
        events = WRITE if self._queue else 0
        if not self._eof_sent:
            if self.phase is Phase.LINGERING:
                events |= READ
            elif self._send_window > 0 and self._max_data > 0:
                if self._mux.is_full:
                    self._mux.pause(self)
                else:
                    events |= READ
        if events != self._watched:
            try:
                self._mux.loop.watch(sock, self._watched, events, self._on_event)
            except OSError:  # the system watches no more sockets
                self.abort()
                return
            self._watched = events

    def _on_event(self, events: int) -> None:
        if events & WRITE and self._queue:
            self._deliver_queue()
        if events & READ and self._sock is not None and self._watched & READ:
            if self.phase is Phase.LINGERING:
                self._discard()
            else:
                self._read()
        if self._sock is not None:
            self._reconsider()

    def _read(self) -> None:
        """Read from the client into packets, in their place."""
        sock, window, most = self._sock, self._send_window, self._max_data
        assert sock is not None
        if self._mux.is_full or window <= 0:
            return
        writer = self._mux.writer
        # One read into many packets pays off for a client that sends much.
        count = max(1, min(_AT_ONCE, window // most)) if self._sends_much else 1
        most = min(window, most)
        stride = writer.size(9 + most)
        place = writer.reserve(count * stride) + _DATA_START
        view = writer.view
        try:
            if count > 1:
                size = _receive(
                    sock,
                    [view[at : at + most] for at in range(place, place + count * stride, stride)],
                )
            else:
                size = sock.recv_into(view[place : place + most])
        except BlockingIOError:
            return
        except OSError:
            self.abort()
            return
        self._unused = None
        if not size:
            self._eof_sent = True
            self._mux.put(MSG_CHANNEL_EOF, self.peer)
            self._close_if_done()
            return
        self._send_window = window - size
        self._sends_much = size >= most
        self._mux.sent += size
        while size > 0:
            now = min(size, most)
            self._mux.seal_data(self.peer, now)
            size -= now
        self._mux.sealed()

    def _discard(self) -> None:
        """The far end takes no more; its last answer ("413 Too Large") must still reach the
        client."""
        assert self._sock is not None
        try:
            ended = not self._sock.recv(_DISCARD)
        except BlockingIOError:
            return
        except OSError:
            ended = True
        if ended:
            self._eof_sent = True
            if not self._queue:
                self._drop(with_reset=False)


if sys.platform == "win32":

    def _send(sock: socket.socket, pieces: list[_Piece]) -> int:
        """How much was sent. Raises OSError; BlockingIOError if nothing can be sent now."""
        return sock.send(b"".join(pieces) if len(pieces) > 1 else pieces[0])

    def _receive(sock: socket.socket, places: list[memoryview]) -> int:
        """Fill one place after the other; how much came. Raises OSError."""
        return sock.recv_into(places[0])

else:

    def _send(sock: socket.socket, pieces: list[_Piece]) -> int:
        """How much was sent. Raises OSError; BlockingIOError if nothing can be sent now."""
        return sock.send(pieces[0]) if len(pieces) == 1 else sock.sendmsg(pieces[:_MOST_PIECES])

    def _receive(sock: socket.socket, places: list[memoryview]) -> int:
        """Fill one place after the other; how much came. Raises OSError."""
        return sock.recvmsg_into(places)[0]
