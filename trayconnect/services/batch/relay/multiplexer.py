"""The channels of one relay: a thread that owns them, one that reads the relay's stream, and one
that writes it. The owner never waits for the stream, and the stream's reader never for a client:
what clients do not take is bounded by their windows."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial

from trayconnect.config.model import Keepalive
from trayconnect.core.accepting import Listening
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.event_loop import EventLoop, tell
from trayconnect.core.link import ByteStream, Client, LostError, Owner, Traffic
from trayconnect.core.receive_window import WindowBudget
from trayconnect.core.threads import served_quickly
from trayconnect.services.batch.relay import frames, problems
from trayconnect.services.batch.relay.channel import Channel, Phase
from trayconnect.services.batch.relay.frames import FrameError, frame, number, number_frame

log = logging.getLogger(__name__)

OPEN_SECONDS = 12.0
"""Limit for the answer to the opening of a channel; the relay gives up before."""
CHECK_SECONDS = 5.0
_READ = 64 << 10
_MOST_UNTAKEN = 8
"""Pieces of the stream that wait for the owner of the channels."""
_MUCH = 256 << 10
"""Bytes on their way to the relay above which nothing is read from clients."""
_MOST_NOISE = 64 << 10  # of start-up files, before the greeting


class Multiplexer:
    """Methods are called on its thread, unless they say otherwise.

    Raises OSError if the system has no descriptors left."""

    def __init__(
        self,
        stream: ByteStream,
        node: str,
        keepalive: Keepalive,
        on_lost: Callable[[Problem], None],
        heard: bytes = b"",
    ) -> None:
        """`on_lost` is called once, on the multiplexer's thread, unless `close` came first.
        `heard`: what was read of the stream already."""
        self._stream = stream
        self.node = node
        self._limit = keepalive.interval * keepalive.count_max
        self._interval = keepalive.interval
        self._on_lost = on_lost
        self._heard = heard
        self.loop = EventLoop()
        self.listening = Listening(self.loop)
        self.budget = WindowBudget()
        self.carried: set[Channel] = set()
        self.paused: set[Channel] = set()
        """Those that go on reading when there is room."""
        self.sent = self.received = 0
        self.latency: float | None = None
        self.greeted = threading.Event()
        """Set by the greeting, and by the end before it."""
        self.reason: LostError | None = None
        self.has_no_python = False
        self._is_greeted = False
        self._channels: dict[int, Channel] = {}
        self._number = 0
        self._decoder = frames.Decoder()
        self._pad = frames.Pad()
        self._heard_at = self._asked_at = time.monotonic()
        self._is_closing = False
        self._batch: list[bytes] = []
        self._changed = threading.Condition()
        """Guards what follows."""
        self._out: list[bytes] = []
        self._out_size = 0
        self._untaken = threading.Semaphore(_MOST_UNTAKEN)
        name = f"tc-relay {{}} {node}"
        self._threads = [
            threading.Thread(target=target, name=name.format(kind), daemon=True)
            for kind, target in (
                ("loop", self._run),
                ("reader", self._read),
                ("writer", self._write),
            )
        ]

    def start(self, first: bytes) -> None:
        """Begin; `first` is what the relay's command reads. From any thread. Raises RuntimeError if
        no thread can be started; `close` must follow then, too."""
        self._out.append(first)
        self._out_size = len(first)
        for thread in self._threads:
            thread.start()

    def close(self, seconds: float) -> None:
        """From any thread. Never raises; may be called twice."""
        self._is_closing = True
        self.loop.run(lambda: self.end(problems.lost(self.node, "closed")))
        self._stream.close()
        for thread in self._threads:
            if thread.ident is not None and thread is not threading.current_thread():
                thread.join(seconds)
        if self._threads[0].ident is None:
            self.loop.close()

    @property
    def traffic(self) -> Traffic:
        """From any thread."""
        return Traffic(len(self.carried), self.sent, self.received)

    # --- opening ----------------------------------------------------------------------------------

    def open(
        self,
        request: bytes,
        kind: int,
        client: Client,
        on_opened: Callable[[Owner], None],
        on_refused: Callable[[ProblemError], None],
        explain: Callable[[bytes], ProblemError],
        late: ProblemError,
        on_made: Callable[[Channel], None] = lambda _: None,
    ) -> None:
        """Open a channel for a client. `explain` reads a refusal, `late` is the problem without an
        answer in time. From any thread; never waits."""

        def begin() -> None:
            if self.reason is not None:
                tell(on_refused, self.reason)
                return
            if len(self._channels) >= frames.MOST_CHANNELS:
                busy = bytes((frames.OTHER, frames.UNKNOWN)) + b"too many connections at once"
                tell(on_refused, explain(busy))
                return
            self._number += 1
            channel = Channel(self, self._number, client, on_opened, on_refused, explain)
            self._channels[channel.number] = channel
            tell(on_made, channel)
            self.put(frame(kind, channel.number, request))
            if kind == frames.OPEN:
                channel.send_ahead()
            when = time.monotonic() + OPEN_SECONDS
            self.loop.call_at(when, lambda: self._give_up(channel, late))

        if not self.loop.run(begin):
            on_refused(self.reason or problems.lost(self.node, ""))

    def check(self) -> None:
        """Ask for a sign of life now. From any thread; never waits."""

        def ask() -> None:
            if self.reason is None:
                now = time.monotonic()
                self._ask()
                limit = min(CHECK_SECONDS, self._limit)
                self.loop.call_at(now + limit, lambda: self._expect_since(now))

        self.loop.run(ask)

    def _give_up(self, channel: Channel, error: ProblemError) -> None:
        if channel.phase is Phase.OPENING and channel.number in self._channels:
            channel.abandon(error)

    # --- what channels need -----------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        return self._out_size >= _MUCH

    def put(self, data: bytes) -> None:
        self._batch.append(data)

    def over(self, channel: Channel) -> None:
        """It has no client any more."""
        self.carried.discard(channel)
        self.paused.discard(channel)

    def _resume(self) -> None:
        paused, self.paused = self.paused, set()
        for channel in paused:
            channel.reconsider()

    # --- its thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        self.loop.enter()
        try:
            with served_quickly():
                while self.reason is None:
                    self.loop.turn()
                    self._flush()
        except Exception as error:
            log.exception("a bug in the link to %s", self.node)
            self.end(problems.lost(self.node, repr(error)))
        self._flush()
        self.loop.close()
        self._stream.close()
        with self._changed:
            self._changed.notify_all()
        self.greeted.set()
        if not self._is_closing and self.reason is not None:
            tell(self._on_lost, self.reason.problem)

    def _flush(self) -> None:
        if self._batch and self._is_greeted:
            batch, self._batch = self._batch, []
            with self._changed:
                self._out += batch
                self._out_size += sum(map(len, batch))
                self._changed.notify_all()

    def end(self, error: LostError) -> None:
        """Reset what is carried, refuse what is not open yet."""
        if self.reason is not None:
            return
        self.reason = error
        self.listening.end()
        channels, self._channels = self._channels, {}
        for channel in channels.values():
            channel.cut(error)

    def _take(self, data: bytes) -> None:
        self._untaken.release()
        if self.reason is not None:
            return
        self._heard_at = time.monotonic()
        self._pad.heard(self._heard_at)
        try:
            for kind, channel_number, payload in self._decoder.feed(data):
                self._dispatch(kind, channel_number, payload)
        except FrameError as error:
            self.end(problems.broken(self.node, str(error)))

    def _dispatch(self, kind: int, channel_number: int, payload: bytes) -> None:
        if kind == frames.NOTHING:
            return
        if kind == frames.PONG:
            self._answered()
            return
        channel = self._channels.get(channel_number)
        if channel is None:
            if not 0 < channel_number <= self._number:
                raise FrameError("a channel that does not exist")
            return  # it has just ended here
        if kind == frames.DATA:
            channel.arrived(payload)
        elif kind == frames.WINDOW_MORE:
            channel.more(number(payload))
        elif kind == frames.EOF:
            channel.far_eof()
        elif kind == frames.CLOSE:
            channel.far_close()
            del self._channels[channel_number]
        elif kind == frames.STDERR:
            channel.stderr_arrived(payload)
        elif kind == frames.EXIT:
            status = number(payload)
            channel.status = status if status < 1 << 31 else -1
        elif kind in (frames.OPENED, frames.REFUSED):
            explain, channel.explain = channel.explain, None
            if explain is None:
                raise FrameError("a second answer for a channel")
            if kind == frames.REFUSED:
                del self._channels[channel_number]
                if channel.phase is Phase.OPENING:
                    channel.refuse(explain(payload))
            elif channel.phase is Phase.OPENING:
                channel.opened(problems.owner(payload))
        else:
            raise FrameError(f"an unknown kind of frame: {kind}")

    # --- signs of life ----------------------------------------------------------------------------

    def _begin(self) -> None:
        """The relay has greeted."""
        self._is_greeted = True
        self._heard_at = time.monotonic()
        self.greeted.set()
        self._beat()

    def _ask(self) -> None:
        self._asked_at = time.monotonic()
        self.put(number_frame(frames.PING, 0, round(2 * self._limit) + 60))

    def _answered(self) -> None:
        self.latency = time.monotonic() - self._asked_at
        self.budget.measured(self.latency)

    def _beat(self) -> None:
        now = time.monotonic()
        if now - self._heard_at >= self._limit:
            self.end(problems.silent(self.node, now - self._heard_at))
        if self.reason is None:
            self._ask()
            self.loop.call_at(now + self._interval, self._beat)

    def _expect_since(self, asked_at: float) -> None:
        if self.reason is None and self._heard_at < asked_at:
            self.end(problems.silent(self.node, time.monotonic() - self._heard_at))

    # --- the other threads ------------------------------------------------------------------------

    def _read(self) -> None:
        detail = "the stream has ended"
        try:
            data = self._wait_greeting()
            if self.has_no_python:
                detail = "no Python"
            else:
                self.loop.call(self._begin)
                while True:
                    if data:
                        self._untaken.acquire()
                        if not self.loop.call(partial(self._take, data)):
                            return
                    data = self._stream.recv(_READ)
                    if not data:
                        break
        except (OSError, EOFError) as error:
            detail = str(error)
        self.loop.call(lambda: self.end(problems.lost(self.node, detail)))

    def _wait_greeting(self) -> bytes:
        """What follows the greeting. Raises OSError if none comes."""
        said = b"\n" + self._heard
        while True:
            at = said.find(b"\n" + frames.GREETING)
            end = said.find(b"\n", at + 1) if at >= 0 else -1
            if end >= 0:
                self._pad.segment = frames.segment_of(said[at + 1 : end])
                return said[end + 1 :]
            if b"\n" + frames.NO_PYTHON in said:
                self.has_no_python = True
                return b""
            if len(said) > _MOST_NOISE:
                raise OSError("it printed too much before its greeting")
            data = self._stream.recv(_READ)
            if not data:
                raise OSError("it ended without a greeting")
            said += data

    def _write(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._out or self.reason is not None)
                    out, self._out = self._out, []
                if not out:
                    return
                data = b"".join(out)
                self._stream.sendall(data + self._pad.behind(len(data), time.monotonic()))
                with self._changed:
                    was_full = self.is_full
                    self._out_size -= len(data)
                    has_room = was_full and not self.is_full
                if has_room:  # also for one that finds it full at this moment, and pauses then
                    self.loop.call(self._resume)
        except (OSError, EOFError) as error:
            detail = str(error)
            self.loop.call(lambda: self.end(problems.lost(self.node, detail)))
