"""The connections that one SSH connection carries for local sockets, on the transport's thread.

The numbers of its channels are ones that paramiko's own never reach, so that both can share a
connection."""

from __future__ import annotations

import logging
import math
import socket
import struct
import time
from collections.abc import Callable, Container, Sequence

from paramiko import SSHException
from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_OPEN_FAILURE,
    MSG_CHANNEL_OPEN_SUCCESS,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_SUCCESS,
    MSG_CHANNEL_WINDOW_ADJUST,
    MSG_NAMES,
    MSG_UNIMPLEMENTED,
)

from trayconnect.core import sanitize
from trayconnect.core.accepting import Listening
from trayconnect.core.event_loop import tell
from trayconnect.core.link import Client, OnAccepted, Traffic
from trayconnect.core.receive_window import SMALLEST, ReceiveWindow, WindowBudget
from trayconnect.ssh.auth.data_types import DataReader, string
from trayconnect.ssh.transport.carried import CarriedChannel, Phase
from trayconnect.ssh.transport.channel_end import MAX_DATA, ChannelEnd
from trayconnect.ssh.transport.client_socket import DATA_HEAD
from trayconnect.ssh.transport.packetizer import Packetizer

log = logging.getLogger(__name__)

FIRST_NUMBER = 1 << 30
OPEN_SECONDS = 10.0
"""Limit for the server's answer to the opening of a channel."""
SUSPICIOUS_SECONDS = 4.0
"""After so long without an answer, nor anything else, the server may be gone."""


class ChannelRefusedError(Exception):
    """The server did not open a channel; `code` as in RFC 4254 section 5.1."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} (code {code})")
        self.code = code


OnOpened = Callable[[CarriedChannel], None]
OnNotOpened = Callable[[ChannelRefusedError | TimeoutError | ConnectionError], None]
"""Both are called on the transport's thread; that of a connection that has ended, on any."""

_PACK = tuple(struct.Struct(f">B{count}I").pack for count in range(5))
"""A message of so many numbers."""
_KINDS = range(MSG_CHANNEL_OPEN_SUCCESS, MSG_CHANNEL_FAILURE + 1)
_STRAY = {
    MSG_CHANNEL_WINDOW_ADJUST,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_SUCCESS,
    MSG_CHANNEL_FAILURE,
}
"""Messages for a channel that does not exist, which OpenSSH's client ignores. Any other ends the
connection."""


class Multiplexer:
    """Methods are called on the transport's thread, unless they say otherwise."""

    def __init__(
        self, packetizer: Packetizer, reason: Callable[[], str], others: Container[int]
    ) -> None:
        """`reason`: why the connection ended; `others`: the numbers of the channels so far that are
        paramiko's."""
        self._packetizer = packetizer
        self._others = others
        self._reason = reason
        self.loop = packetizer.loop
        self.writer = packetizer.writer
        self.sealed = packetizer.sealed
        self.put_message = packetizer.put
        self.dirty: list[CarriedChannel] = []
        """Channels with data that just arrived."""
        self.budget = WindowBudget()
        self.sent = 0
        self.received = 0
        """Bytes of all connections so far."""
        self._channels: dict[int, CarriedChannel] = {}
        self._openings: dict[int, tuple[CarriedChannel, OnOpened, OnNotOpened]] = {}
        self._carried: set[CarriedChannel] = set()
        self._paused: set[CarriedChannel] = set()
        """Those that go on reading when there is room."""
        self._due = math.inf
        """When the next look for late answers is."""
        self.on_silence: Callable[[], None] = lambda: None
        """Called when a server that owes an answer seems to be gone; on the transport's thread."""
        self._number = FIRST_NUMBER
        self._has_wrapped = False
        self._listening = Listening(packetizer.loop)
        self._has_ended = False
        packetizer.on_payload = self._take
        packetizer.on_batch = self._deliver
        packetizer.on_room = self._resume

    @property
    def is_full(self) -> bool:
        """Whether nothing more is to be read from clients."""
        return self._packetizer.is_full

    @property
    def has_posted(self) -> bool:
        """Whether messages wait that no data must overtake: they may open its channel."""
        return self._packetizer.has_posted

    @property
    def traffic(self) -> Traffic:
        """From any thread."""
        return Traffic(len(self._carried), self.sent, self.received)

    # --- opening ----------------------------------------------------------------------------------

    def open(
        self,
        kind: str,
        fields: bytes,
        on_opened: OnOpened,
        on_refused: OnNotOpened,
        timeout: float = OPEN_SECONDS,
    ) -> None:
        """Open a channel; `fields` follow the common ones of RFC 4254 section 5.1. From any thread;
        never waits. `timeout`: limit for the server's answer, in seconds."""
        if not self.loop.run(lambda: self._open(kind, fields, on_opened, on_refused, timeout)):
            on_refused(ConnectionResetError(self._reason()))

    def admit(
        self,
        peer: int,
        window: int,
        max_packet: int,
        client: Client,
        on_ended: Callable[[], None],
    ) -> None:
        """Confirm the channel that the server opens as its number `peer`, and carry it to `client`.
        `on_ended`: see `link.Incoming`. From any thread. Raises ConnectionError if the connection
        has ended."""

        def admit() -> None:
            channel = self._new_channel()
            channel.opened(peer, window, max_packet)
            self.put(MSG_CHANNEL_OPEN_SUCCESS, peer, channel.end.number, SMALLEST, MAX_DATA)
            channel.carry(client, on_ended=on_ended)

        if not self.loop.run(admit):
            raise ConnectionResetError(self._reason())

    def _open(
        self,
        kind: str,
        fields: bytes,
        on_opened: OnOpened,
        on_refused: OnNotOpened,
        timeout: float,
    ) -> None:
        if self._has_ended:
            tell(on_refused, ConnectionResetError(self._reason()))
            return
        channel = self._new_channel()
        channel.opened_at = time.monotonic()
        channel.deadline = channel.opened_at + timeout
        self._openings[channel.end.number] = (channel, on_opened, on_refused)
        head = struct.pack(">III", channel.end.number, SMALLEST, MAX_DATA)
        self.put_message(bytes((MSG_CHANNEL_OPEN,)) + string(kind.encode()) + head + fields)
        self.sealed()
        self._expect(min(channel.deadline, channel.opened_at + SUSPICIOUS_SECONDS))

    def _new_channel(self) -> CarriedChannel:
        number = self._number
        while number in self._channels:
            number = FIRST_NUMBER + (number + 1) % FIRST_NUMBER
        self._number = FIRST_NUMBER + (number + 1) % FIRST_NUMBER
        self._has_wrapped |= self._number == FIRST_NUMBER
        end = ChannelEnd(number, ReceiveWindow(self.budget), self.put)
        channel = self._channels[number] = CarriedChannel(self, end)
        return channel

    def _expect(self, when: float) -> None:
        if when < self._due:
            self._due = when
            self.loop.call_at(when, self._look)

    def _look(self) -> None:
        """Give up on those that were not answered in time."""
        now = time.monotonic()
        late = [one for one in self._openings.values() if one[0].deadline <= now]
        for channel, _, on_refused in late:
            del self._openings[channel.end.number]
            tell(on_refused, TimeoutError(f"no answer within {now - channel.opened_at:.0f} s"))
        self._due = math.inf
        due = [(one[0].opened_at + SUSPICIOUS_SECONDS, one[0]) for one in self._openings.values()]
        if due:
            self._expect(min(when if when > now else one.deadline for when, one in due))
        last_received = self._packetizer.last_received
        if any(when <= now and last_received < one.opened_at for when, one in due):
            tell(self.on_silence)

    # --- what channels need -----------------------------------------------------------------------

    def put(self, kind: int, *numbers: int) -> None:
        """Send a message of numbers."""
        self.put_message(_PACK[len(numbers)](kind, *numbers))

    def forget(self, channel: CarriedChannel) -> None:
        """Both sides have closed it: its number is free."""
        self._channels.pop(channel.end.number, None)

    def carries(self, channel: CarriedChannel) -> None:
        """It has a client from now on."""
        self._carried.add(channel)

    def over(self, channel: CarriedChannel) -> None:
        """It has none any more."""
        self._carried.discard(channel)
        self._paused.discard(channel)

    def pause(self, channel: CarriedChannel) -> None:
        """Let it reconsider when there is room."""
        self._paused.add(channel)

    def _resume(self) -> None:
        if not self.is_full:
            paused, self._paused = self._paused, set()
            for channel in paused:
                channel.reconsider()

    # --- from the server --------------------------------------------------------------------------

    def _take(self, payload: memoryview) -> bool:
        kind = payload[0]
        if kind == MSG_CHANNEL_DATA and len(payload) >= DATA_HEAD.size:
            _, number, size = DATA_HEAD.unpack_from(payload)
            channel = self._channels.get(number)
            if channel is not None:
                end = DATA_HEAD.size + size
                if end > len(payload):
                    raise SSHException("a message is cut short")
                channel.arrived(payload[DATA_HEAD.size : end])
                return True
        if kind not in _KINDS:
            if kind in MSG_NAMES:
                return False
            self.put(MSG_UNIMPLEMENTED, self._packetizer.reader.sequence)
            return True
        if len(payload) < 5:
            raise SSHException(f"message {kind} is cut short")
        number = int.from_bytes(payload[1:5], "big")
        if number < FIRST_NUMBER:
            if number not in self._others and kind not in _STRAY:
                raise _unknown(kind, number)
            return number not in self._others
        if kind == MSG_CHANNEL_DATA:
            if number in self._channels:
                raise SSHException(f"message {kind} is cut short")
            return self._ignore_late(kind, number)
        try:
            self._control(kind, number, DataReader(bytes(payload[5:])))
        except ValueError as error:
            raise SSHException(f"message {kind}: {error}") from None
        return True

    def _ignore_late(self, kind: int, number: int) -> bool:
        """Ignore a message for a channel that both sides have closed: one thread of a server may
        send data after another has sent the CLOSE. Raises SSHException if the channel never was."""
        if number >= self._number and not self._has_wrapped:
            raise _unknown(kind, number)
        return True

    def _control(self, kind: int, number: int, fields: DataReader) -> None:
        if kind in (MSG_CHANNEL_OPEN_SUCCESS, MSG_CHANNEL_OPEN_FAILURE):
            self._answered(kind, number, fields)
            return
        channel = self._channels.get(number)
        if channel is None:
            if kind not in _STRAY:
                self._ignore_late(kind, number)
            return
        channel.flush()
        if kind == MSG_CHANNEL_WINDOW_ADJUST:
            channel.adjust(fields.uint32())
        elif kind == MSG_CHANNEL_EOF:
            channel.far_eof()
        elif kind == MSG_CHANNEL_CLOSE:
            channel.far_close()
        elif kind == MSG_CHANNEL_EXTENDED_DATA:
            fields.uint32()
            channel.end.ignored(len(fields.string()))
        elif kind == MSG_CHANNEL_REQUEST:
            fields.string()
            if fields.boolean():
                channel.end.requested()
        elif kind not in (MSG_CHANNEL_SUCCESS, MSG_CHANNEL_FAILURE):
            raise _unknown(kind, number)

    def _answered(self, kind: int, number: int, fields: DataReader) -> None:
        channel = self._channels.get(number)
        if channel is None or channel.phase is not Phase.OPENING:
            raise _unknown(kind, number)
        if kind == MSG_CHANNEL_OPEN_FAILURE:
            refusal = ChannelRefusedError(fields.uint32(), sanitize.line(fields.string()))
            opening = self._openings.pop(number, None)
            self.forget(channel)
            if opening is not None:
                tell(opening[2], refusal)
            return
        channel.opened(fields.uint32(), fields.uint32(), fields.uint32())
        opening = self._openings.pop(number, None)
        if opening is None:
            channel.abort()  # its opener gave up
            return
        self.budget.measured(time.monotonic() - channel.opened_at)
        if not tell(opening[1], channel):
            channel.abort()

    def _deliver(self) -> None:
        dirty, self.dirty = self.dirty, []
        for channel in dirty:
            channel.flush()

    # --- accepting --------------------------------------------------------------------------------

    def accept(
        self, listening: Sequence[tuple[int, socket.socket]], on_accepted: OnAccepted
    ) -> None:
        """See `link.Carrier`. From any thread."""
        self._listening.accept(listening, on_accepted)

    def release(self) -> None:
        """See `link.Carrier`. From any thread."""
        self._listening.release()

    # --- its end ----------------------------------------------------------------------------------

    def end(self) -> None:
        """The transport has ended: reset what is carried, refuse what is not open yet."""
        self._has_ended = True
        tell(self._listening.end)
        openings, self._openings = self._openings, {}
        for channel, _, on_refused in openings.values():
            self.forget(channel)
            tell(on_refused, ConnectionResetError(self._reason()))
        for channel in {*self._carried, *self._channels.values()}:
            tell(channel.cut)
        self._channels.clear()


def _unknown(kind: int, number: int) -> SSHException:
    return SSHException(f"message {kind} for a channel that does not exist: {number}")
