"""A channel that carries a local socket, on the transport's thread (RFC 4254 section 5)."""

from __future__ import annotations

import contextlib
import enum
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from trayconnect.core.backlog import Backlog, send
from trayconnect.core.event_loop import READ, WRITE, Timer, tell
from trayconnect.core.link import Client
from trayconnect.core.sockets import reset, set_reset_on_close
from trayconnect.ssh.transport.channel_end import ChannelEnd
from trayconnect.ssh.transport.client_socket import read

if TYPE_CHECKING:
    from trayconnect.ssh.transport.multiplexer import Multiplexer

LINGER = 5.0
"""Seconds that a client has to close its side after the far end has closed. Closing a socket with
unread bytes resets the connection, and the client would lose what it has not read."""


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
        "_backlog",
        "_is_given",
        "_is_ready",
        "_mux",
        "_on_ended",
        "_on_touched",
        "_pending",
        "_sends_much",
        "_sock",
        "_timer",
        "_unused",
        "_watched",
        "deadline",
        "end",
        "opened_at",
        "phase",
    )

    def __init__(self, mux: Multiplexer, end: ChannelEnd) -> None:
        self._mux = mux
        self.end = end
        self.phase = Phase.OPENING
        self.opened_at = self.deadline = 0.0
        self._sends_much = False
        self._sock: socket.socket | None = None
        self._watched = 0
        self._pending: list[memoryview] = []
        """Data in the packets that just arrived; it is to be delivered before they lose their
        place."""
        self._backlog = Backlog()
        self._timer: Timer | None = None
        self._is_ready = False  # whether the client has sent something
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
        return self.phase is Phase.OPEN and not self._backlog and not self.end.far_eof

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
        """See `HeldChannel`. `on_ended` is called once, when the client's socket was closed."""
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
        self.end.opened(peer, window, max_packet)
        self.phase = Phase.OPEN

    def abort(self) -> None:
        """End both sides now: a reset for the client."""
        self.end.send_close()
        self._drop(with_reset=True)

    def cut(self) -> None:
        """The transport has ended. A client that has not received everything gets a reset."""
        if not self._give_back():
            self._drop(with_reset=self.phase is not Phase.LINGERING or bool(self._backlog))
        self._touched()

    def _carry(self, client: Client) -> None:
        self._on_touched = None
        self._sock = client.socket
        if self.phase not in (Phase.OPEN, Phase.LINGERING):
            if not self._give_back():
                self._drop(with_reset=True)
            return
        if self.end.far_eof and not self._backlog and self._give_back():
            return
        with contextlib.suppress(OSError):  # a UNIX socket
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if client.reply or self._backlog:
            self._unused = None
        try:
            if client.reply:
                client.socket.send(client.reply)  # the first few bytes always fit
        except OSError:
            self.abort()
            return
        self._mux.carries(self)
        if self._backlog:
            self._deliver_backlog()
        elif self.end.far_eof:
            self._finish_client()
        elif self._unused is None:
            self._read()  # its request is here already, most of the time
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
        self.end.send_close()
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
        self._backlog.clear()
        self._pending = []
        self._unused = None
        if self._timer is not None:
            self._timer.cancel()
        self.end.release()
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
        if self.end.far_eof or self.phase is not Phase.OPEN:
            self.end.ignored(len(data))
            return
        self.end.received(len(data))
        if not self._pending:
            self._mux.dirty.append(self)
            self._unused = None
        self._pending.append(data)

    def flush(self) -> None:
        """Deliver what has arrived; keep a copy of what the client does not take now."""
        pieces, self._pending = self._pending, []
        if not pieces:
            return
        size = len(pieces[0]) if len(pieces) == 1 else sum(map(len, pieces))
        sock = self._sock
        sent = 0
        if sock is not None and not self._backlog:
            try:
                sent = send(sock, pieces)
            except BlockingIOError:
                pass
            except OSError:
                self.abort()
                return
        self._mux.received += size
        if sent:
            self.end.took(sent)
        if sent < size:
            self._backlog.keep(pieces, sent)
            if sock is None:
                self._touched()
            else:
                self.reconsider()

    def adjust(self, size: int) -> None:
        """The server takes so much more. Raises SSHException."""
        self.end.adjusted(size)
        self.reconsider()

    def far_eof(self) -> None:
        """The far end sends no more."""
        if self.end.far_eof or self.phase is not Phase.OPEN:
            return
        self.end.far_eof = True
        if self._sock is None:
            self._touched()
        elif not self._give_back() and not self._backlog:
            self._finish_client()

    def far_close(self) -> None:
        """The server has closed the channel; it takes no more. A server may close one without an
        EOF (RFC 4254 section 5.3), as those written in Go do: what it sent is complete."""
        if self.phase is Phase.OPENING:
            return
        self.end.send_close()
        self._mux.forget(self)
        if self.phase is not Phase.OPEN:
            return
        self.phase = Phase.LINGERING
        self.end.far_eof = True
        if self._sock is None:
            self._touched()
        elif not self._give_back():
            if self._backlog:
                self.reconsider()
            else:
                self._finish_client()

    # --- to the client ----------------------------------------------------------------------------

    def _deliver_backlog(self) -> None:
        assert self._sock is not None
        try:
            sent = self._backlog.deliver(self._sock)
        except OSError:
            self.abort()
            return
        if sent:
            self.end.took(sent)
        if not self._backlog and self.end.far_eof:
            self._finish_client()

    def _finish_client(self) -> None:
        """Everything is delivered, and nothing follows."""
        assert self._sock is not None
        if self.end.eof_sent:  # neither side sends more (RFC 4254 section 5.3)
            self.end.send_close()
            self._drop(with_reset=False)
            return
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        if self.phase is Phase.LINGERING and self._timer is None:
            when = time.monotonic() + LINGER
            self._timer = self._mux.loop.call_at(when, lambda: self._drop(with_reset=False))
        self.reconsider()

    # --- from the client --------------------------------------------------------------------------

    def reconsider(self) -> None:
        """What to wait for may have changed."""
        sock, end = self._sock, self.end
        if sock is None:
            return
        events = WRITE if self._backlog else 0
        if not end.eof_sent:
            if self.phase is Phase.LINGERING:
                events |= READ
            elif end.may_send:
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
        if events & WRITE and self._backlog:
            self._deliver_backlog()
        if events & READ and self._sock is not None and self._watched & READ:
            if self.phase is Phase.LINGERING:
                self._discard()
            elif self._unused is not None and not self._is_ready:
                # First comes what the server has sent by now: it may have ended the channel.
                self._is_ready = True
            else:
                self._read()
        self.reconsider()

    def _read(self) -> None:
        """Read from the client into packets, in their place."""
        sock, end, mux = self._sock, self.end, self._mux
        assert sock is not None
        if mux.is_full or mux.has_posted or not end.may_send:
            return
        try:
            size = read(sock, end, mux.writer, much=self._sends_much)
        except BlockingIOError:
            return
        except OSError:
            self.abort()
            return
        self._unused = None
        if not size:
            end.send_eof()
            if end.far_eof and not self._backlog:
                self._finish_client()
            return
        # One read into many packets pays off for a client that sends much.
        self._sends_much = size >= end.max_data
        mux.sent += size
        mux.sealed()

    def _discard(self) -> None:
        """The far end takes no more; its last answer ("413 Too Large") must still reach the
        client."""
        assert self._sock is not None
        try:
            ended = not self._sock.recv(64 << 10)
        except BlockingIOError:
            return
        except OSError:
            ended = True
        if ended:
            self.end.eof_sent = True
            if not self._backlog:
                self._drop(with_reset=False)
