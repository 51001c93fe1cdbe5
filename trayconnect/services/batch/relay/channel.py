"""A local socket that is carried over a channel of a relay, on the link's thread."""

from __future__ import annotations

import contextlib
import enum
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from trayconnect.core.backlog import Backlog, send
from trayconnect.core.errors import ProblemError
from trayconnect.core.event_loop import READ, WRITE, Timer, tell
from trayconnect.core.link import Client, Owner
from trayconnect.core.receive_window import ReceiveWindow, WindowExceededError
from trayconnect.core.sockets import set_reset_on_close
from trayconnect.services.batch.relay import frames
from trayconnect.services.batch.relay.frames import FrameError, frame, number_frame

if TYPE_CHECKING:
    from trayconnect.services.batch.relay.multiplexer import Multiplexer

LINGER = 5.0
"""Seconds that a client has to close its side after the far end has closed."""
AHEAD = 16 << 10
"""Bytes of a client's request that go out with the opening."""
_KEPT_STDERR = 4096


class Phase(enum.Enum):
    OPENING = "opening"
    OPEN = "open"
    LINGERING = "lingering"
    """The far end has closed the channel; the client still reads, or has not closed its side."""
    OVER = "over"
    """There is no client any more; the far end may not know yet."""


class Channel:
    """Its fields belong to the link's thread."""

    def __init__(
        self,
        mux: Multiplexer,
        number: int,
        client: Client,
        on_opened: Callable[[Owner], None],
        on_refused: Callable[[ProblemError], None],
        explain: Callable[[bytes], ProblemError],
    ) -> None:
        self._mux = mux
        self.number = number
        self._sock = client.socket
        self._reply = client.reply
        self._on_opened = on_opened
        self._on_refused = on_refused
        self.explain: Callable[[bytes], ProblemError] | None = explain
        """Reads a refusal; None once the far end has answered."""
        self.phase = Phase.OPENING
        self._window = ReceiveWindow(mux.budget)
        self._send_window = frames.WINDOW
        self._backlog = Backlog()
        self._ahead = 0
        """Bytes that were sent with the opening, and that the client's socket still holds: a client
        that is refused is whole."""
        self._watched = 0
        self._eof_sent = self._far_eof = self._close_sent = False
        self.was_cut = False
        """Whether it ended before the far end closed it."""
        self._timer: Timer | None = None
        self.most_stderr = _KEPT_STDERR
        self.stderr = bytearray()
        self.status: int | None = None

    # --- opening ----------------------------------------------------------------------------------

    def send_ahead(self) -> None:
        """Send what the client has asked so far, which saves a round trip."""
        try:
            data = self._sock.recv(AHEAD, socket.MSG_PEEK)
        except OSError:  # nothing yet, or an error that shows later
            return
        if data:
            self._ahead = len(data)
            self._send_window -= len(data)
            self._mux.put(frame(frames.DATA, self.number, data))

    def opened(self, owner: Owner) -> None:
        """The far end is connected."""
        self.phase = Phase.OPEN
        self._mux.carried.add(self)
        tell(self._on_opened, owner)
        with contextlib.suppress(OSError):  # a UNIX socket
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._reply:
                self._sock.send(self._reply)  # the first few bytes always fit
            while self._ahead:
                self._ahead -= len(self._sock.recv(self._ahead)) or self._ahead
        except OSError:
            self.abort()
            return
        self._read()
        self.reconsider()

    def refuse(self, error: ProblemError) -> None:
        """There is no channel. The client is its opener's again."""
        self.phase = Phase.OVER
        self._window.close()
        tell(self._on_refused, error)

    def give_up(self, error: ProblemError) -> None:
        """No answer will come. What was sent ahead may have been served: that is not to be done
        twice."""
        if self.phase is Phase.OPENING:
            if self._ahead:
                self.was_cut = True
                self._drop(with_reset=True)
            else:
                self.refuse(error)

    def abandon(self, error: ProblemError) -> None:
        """No answer came in time."""
        self._send_close(b"cut")
        self.give_up(error)

    # --- the end ----------------------------------------------------------------------------------

    def abort(self) -> None:
        """End both sides now: a reset for the client."""
        self._send_close(b"cut")
        self._drop(with_reset=True)

    def leave(self) -> None:
        """Its user has closed a stream over it."""
        if self.phase is not Phase.OVER:
            self.abort()

    def cut(self, error: ProblemError) -> None:
        """The link has ended."""
        if self.phase is Phase.OPENING:
            self.give_up(error)
        elif self.phase is not Phase.OVER:
            self.was_cut = self.phase is Phase.OPEN
            self._drop(with_reset=self.was_cut or bool(self._backlog))

    def _send_close(self, payload: bytes = b"") -> None:
        if not self._close_sent:
            self._close_sent = True
            self._mux.put(frame(frames.CLOSE, self.number, payload))

    def _drop(self, *, with_reset: bool) -> None:
        if self.phase is Phase.OVER:
            return
        if self._watched:
            self._mux.loop.watch(self._sock, self._watched, 0, self._on_event)
            self._watched = 0
        self.phase = Phase.OVER
        self._backlog.clear()
        self._window.close()
        if self._timer is not None:
            self._timer.cancel()
        if with_reset:
            set_reset_on_close(self._sock)
        self._sock.close()
        self._mux.over(self)

    # --- from the far end -------------------------------------------------------------------------

    def arrived(self, data: bytes) -> None:
        """Raises `FrameError`."""
        if self._far_eof or self.phase is Phase.OPENING:
            raise FrameError("data for a channel that takes none")
        if self.phase is not Phase.OPEN:
            return
        self._receive(len(data))
        self._mux.received += len(data)
        sent = 0
        if not self._backlog:
            try:
                sent = send(self._sock, [memoryview(data)])
            except BlockingIOError:
                pass
            except OSError:
                self.abort()
                return
            self._took(sent)
        if sent < len(data):
            self._backlog.keep([memoryview(data)], sent)
            self.reconsider()

    def stderr_arrived(self, data: bytes) -> None:
        """Raises `FrameError`."""
        if self.phase is Phase.OPEN:
            self._receive(len(data))
            self.stderr += data
            del self.stderr[: -self.most_stderr]
            self._took(len(data))

    def _receive(self, size: int) -> None:
        try:
            self._window.received(size)
        except WindowExceededError:
            raise FrameError("it ignores the window of a channel") from None

    def _took(self, size: int) -> None:
        if self._window.consumed(size) and not self._far_eof and not self._close_sent:
            credit = self._window.grant(time.monotonic())
            if credit:
                self._mux.put(number_frame(frames.WINDOW_MORE, self.number, credit))

    def more(self, size: int) -> None:
        """The far end takes so much more. Raises `FrameError`."""
        self._send_window += size
        if self._send_window > frames.WINDOW:
            raise FrameError("it made the window of a channel too large")
        self.reconsider()

    def far_eof(self) -> None:
        if self.phase is Phase.OPEN and not self._far_eof:
            self._far_eof = True
            if not self._backlog:
                self._finish_client()

    def far_close(self) -> None:
        """It takes no more, and what it has sent is complete. Raises `FrameError`."""
        if self.phase is Phase.OPENING:
            raise FrameError("it closed a channel that it has not opened")
        self._send_close()
        if self.phase is not Phase.OPEN:
            return
        self.phase = Phase.LINGERING
        self._far_eof = True
        if self._backlog:
            self.reconsider()
        else:
            self._finish_client()

    # --- to the client ----------------------------------------------------------------------------

    def _deliver_backlog(self) -> None:
        try:
            self._took(self._backlog.deliver(self._sock))
        except OSError:
            self.abort()
            return
        if not self._backlog and self._far_eof:
            self._finish_client()

    def _finish_client(self) -> None:
        """Everything is delivered, and nothing follows."""
        if self._eof_sent:
            self._send_close()
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
        if self.phase not in (Phase.OPEN, Phase.LINGERING):
            return
        events = WRITE if self._backlog else 0
        if not self._eof_sent:
            if self.phase is Phase.LINGERING:
                events |= READ
            elif self._send_window > 0:
                if self._mux.is_full:
                    self._mux.paused.add(self)
                else:
                    events |= READ
        if events != self._watched:
            try:
                self._mux.loop.watch(self._sock, self._watched, events, self._on_event)
            except OSError:  # the system watches no more sockets
                self.abort()
                return
            self._watched = events

    def _on_event(self, events: int) -> None:
        if events & WRITE and self._backlog:
            self._deliver_backlog()
        if events & READ and self._watched & READ:
            if self.phase is Phase.LINGERING:
                self._discard()
            else:
                self._read()
        self.reconsider()

    def _read(self) -> None:
        if self._mux.is_full or self._send_window <= 0 or self.phase is not Phase.OPEN:
            return
        try:
            data = self._sock.recv(min(frames.MOST_PAYLOAD, self._send_window))
        except BlockingIOError:
            return
        except OSError:
            self.abort()
            return
        if data:
            self._send_window -= len(data)
            self._mux.sent += len(data)
            self._mux.put(frame(frames.DATA, self.number, data))
            return
        self._eof_sent = True
        self._mux.put(frame(frames.EOF, self.number))
        if self._far_eof and not self._backlog:
            self._send_close()
            self._drop(with_reset=False)

    def _discard(self) -> None:
        """The far end takes no more; its last answer must still reach the client."""
        try:
            has_ended = not self._sock.recv(64 << 10)
        except BlockingIOError:
            return
        except OSError:
            has_ended = True
        if has_ended:
            self._eof_sent = True
            if not self._backlog:
                self._drop(with_reset=False)
