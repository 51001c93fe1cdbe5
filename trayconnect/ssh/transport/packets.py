"""The packets of an SSH connection in both directions, each in one large buffer: sealed and opened
in place, many to a system call."""

from __future__ import annotations

import socket

from trayconnect.ssh.transport.ciphers import PLAIN_OPENER, PLAIN_SEALER
from trayconnect.ssh.transport.packet_format import PAYLOAD_START, Opener, Sealer

_FIRST_SIZE = 64 << 10
_LARGEST_READ = 512 << 10
"""Bytes to read at once from a server that sends as fast as it can; more than a packet has."""
_SEQUENCES = 1 << 32


class _Key:
    """What a direction's key has been used for."""

    __slots__ = ("bytes", "packets")

    def __init__(self) -> None:
        self.bytes = 0
        self.packets = 0


class PacketReader:
    """What the server sends."""

    def __init__(self) -> None:
        self._buffer = bytearray(_FIRST_SIZE)
        self.view = memoryview(self._buffer)
        """Payloads are parts of it, until the next call of `receive`."""
        self._start = 0
        self._end = 0
        self._was_full = False
        self._opener: Opener = PLAIN_OPENER
        self._sequence = 0
        self.key = _Key()

    def set_opener(self, opener: Opener) -> None:
        """For the packets after the last one."""
        self._opener = opener
        self.key = _Key()

    def reset_sequence(self) -> None:
        self._sequence = 0

    @property
    def sequence(self) -> int:
        """Of the last packet."""
        return (self._sequence - 1) % _SEQUENCES

    def receive(self, sock: socket.socket) -> int:
        """Read what is there. 0: the end. Raises OSError, BlockingIOError among them."""
        if self._start == self._end:
            self._start = self._end = 0
        size = len(self._buffer)
        if self._was_full and size < _LARGEST_READ:
            self._move(2 * size)
        elif self._end == size or self._start > size // 2:
            self._move(size)
        received = sock.recv_into(self.view[self._end :])
        self._end += received
        self._was_full = self._end == len(self._buffer)
        return received

    def line(self, longest: int) -> bytes | None:
        """The next line, with its end; None: it has not arrived. Raises ValueError if it is longer
        than so many bytes; its beginning is dropped."""
        at = self._buffer.find(b"\n", self._start, self._end)
        if at < 0 and self._end - self._start <= longest:
            return None
        end = self._end if at < 0 else at + 1
        start, self._start = self._start, end
        if end - start > longest:
            raise ValueError("an endless line")
        return bytes(self.view[start:end])

    def next(self) -> memoryview | None:
        """The payload of the next packet; None: it has not arrived yet. Raises SSHException."""
        start, end = self._start, self._end
        if start == end:
            return None
        opener, sequence, key = self._opener, self._sequence, self.key
        view = self.view[start:end]
        size = opener.size(view, sequence)
        if size is None or size > end - start:
            return None
        packet = view[:size]
        first, last = opener.open(packet, sequence)
        self._start = start + size
        self._sequence = (sequence + 1) % _SEQUENCES
        key.bytes += size
        key.packets += 1
        return packet[first:last]

    def rest(self) -> None:
        """Give memory back, if nothing is half received."""
        if self._start == self._end and len(self._buffer) > _FIRST_SIZE:
            self._buffer = bytearray(_FIRST_SIZE)
            self.view = memoryview(self._buffer)
            self._start = self._end = 0

    def _move(self, size: int) -> None:
        """Move what is half received to the start of a buffer of that size."""
        rest = bytes(self.view[self._start : self._end])
        if size > len(self._buffer):
            self._buffer = bytearray(size)
            self.view = memoryview(self._buffer)
        self.view[: len(rest)] = rest
        self._start, self._end = 0, len(rest)


class PacketWriter:
    """What goes to the server."""

    def __init__(self) -> None:
        self._buffer = bytearray(_FIRST_SIZE)
        self.view = memoryview(self._buffer)
        self._start = 0
        self.end = 0
        """Where the next packet starts in `view`."""
        self._sealer: Sealer = PLAIN_SEALER
        self._sequence = 0
        self.key = _Key()

    def __len__(self) -> int:
        """Bytes that wait to be sent."""
        return self.end - self._start

    def set_sealer(self, sealer: Sealer) -> None:
        """For the packets after the last one."""
        self._sealer = sealer
        self.key = _Key()

    def reset_sequence(self) -> None:
        self._sequence = 0

    def size(self, payload: int) -> int:
        """Bytes of a packet with so many bytes of payload."""
        return self._sealer.size(payload)

    def reserve(self, size: int) -> int:
        """Make room for so many bytes after those that wait; where they start in `view`."""
        end = self.end + size
        if end > len(self._buffer):
            waiting = bytes(self.view[self._start : self.end])
            if len(waiting) + size > len(self._buffer):
                self._buffer = bytearray(max(2 * len(self._buffer), 2 * (len(waiting) + size)))
                self.view = memoryview(self._buffer)
            self.view[: len(waiting)] = waiting
            self._start, self.end = 0, len(waiting)
        return self.end

    def seal(self, payload: int) -> None:
        """Make the next packet of the payload of so many bytes that lies PAYLOAD_START bytes after
        those that wait, where `reserve` made room."""
        sealer, key, start = self._sealer, self.key, self.end
        size = sealer.size(payload)
        self.end = end = start + size
        sealer.seal(self.view[start:end], payload, self._sequence)
        self._sequence = (self._sequence + 1) % _SEQUENCES
        key.bytes += size
        key.packets += 1

    def add(self, payload: bytes) -> None:
        """Make the next packet."""
        start = self.reserve(self._sealer.size(len(payload))) + PAYLOAD_START
        self.view[start : start + len(payload)] = payload
        self.seal(len(payload))

    def add_raw(self, data: bytes) -> None:
        """The identification, before the first packet."""
        start = self.reserve(len(data))
        self.view[start : start + len(data)] = data
        self.end += len(data)

    def send(self, sock: socket.socket) -> bool:
        """Send what can be sent now; whether all is sent. Raises OSError."""
        if self._start < self.end:
            try:
                self._start += sock.send(self.view[self._start : self.end])
            except BlockingIOError:
                return False
            if self._start < self.end:
                return False
        self._start = self.end = 0
        return True

    def drop(self) -> None:
        """Send nothing of what waits."""
        self._start = self.end = 0

    def rest(self) -> None:
        """Give memory back, if nothing waits."""
        if self._start == self.end and len(self._buffer) > _FIRST_SIZE:
            self._buffer = bytearray(_FIRST_SIZE)
            self.view = memoryview(self._buffer)
