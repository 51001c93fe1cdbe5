"""Frames between this computer and the relay on a compute node. Pure.

Both ends run this text: on the node, it stands before that of `far`. So it needs nothing newer than
Python 3.6, and no other module of ours.

A frame is its kind, a channel's number, the length of its payload, and the payload. This computer
opens all channels and numbers them. Data flows within windows, as in RFC 4254 section 5.2; a
channel's number is free again when both ends have closed it."""

import hashlib
import hmac
import struct
from typing import Iterator, Tuple

HEAD = struct.Struct(">BII")
MOST_PAYLOAD = 32 << 10
"""Bytes in a frame."""
WINDOW = 512 << 10
"""Bytes that an end may send on a channel at first."""
MOST_CHANNELS = 512

# From this computer.
OPEN = 1
"""Connect; the payload is one byte, whether the owner matters, and the target: see `target_text`.
Data may follow at once: the relay keeps it until it is connected."""
RUN = 2
"""Run the payload as a line of sh. Its streams are the channel."""
PING = 3
"""The relay ends if it hears nothing for so many seconds: Slurm gives a step no end of its input
when srun was killed."""

# From either end.
DATA = 16
WINDOW_MORE = 17
"""So many more bytes may be sent."""
EOF = 18
CLOSE = 19
"""Nothing follows, and nothing more is taken. A payload, from this computer: reset the far end."""
NOTHING = 20
"""Padding: see `Pad`."""

# From the node.
OPENED = 32
"""The owner of the listener."""
REFUSED = 33
"""No channel: one byte for the reason, and its text; then the channel is over."""
STDERR = 34
EXIT = 35
"""The exit status of the command."""
PONG = 36

# Owners, as in `link.Owner`.
OURS, SYSTEM, UNKNOWN, OTHERS, NOBODY = range(5)

# Why there is no channel.
NO_LISTENER, UNREACHABLE, UNRESOLVED, NOT_OURS, OTHER = range(5)

GREETING = b"@@trayconnect relay 1 "
"""Begins a line; behind it stand the bytes of a full packet, for `Pad`, and the node's name.
Start-up files may print before it."""
NO_PYTHON = b"@@trayconnect relay none"


class FrameError(Exception):
    """What arrived is no frame."""


def frame(kind: int, channel: int, payload: bytes = b"") -> bytes:
    return HEAD.pack(kind, channel, len(payload)) + payload


def number(payload: bytes) -> int:
    """The payload of WINDOW_MORE and EXIT."""
    if len(payload) != 4:
        raise FrameError("a number has 4 bytes")
    return int.from_bytes(payload, "big")


def number_frame(kind: int, channel: int, value: int) -> bytes:
    return frame(kind, channel, (value & 0xFFFFFFFF).to_bytes(4, "big"))


def target_text(host: str, port: int, path: str = "") -> bytes:
    """A TCP port, or the path of a UNIX socket."""
    text = "unix " + path if path else "tcp %d %s" % (port, host)
    return text.encode("utf-8", "surrogateescape")


def target(text: bytes) -> Tuple[str, int, str]:
    """Host, port and path: the reverse."""
    kind, _, rest = text.decode("utf-8", "surrogateescape").partition(" ")
    if kind == "unix" and rest:
        return "", 0, rest
    port, _, host = rest.partition(" ")
    if kind != "tcp" or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise FrameError("no target")
    return host, int(port), ""


def proof(secret: bytes, who: bytes, numbers: bytes, address: bytes, port: int) -> bytes:
    """What only an end that knows the secret of a job can say; see `far_serve`."""
    said = b"%b %b %b %d" % (who, numbers, address, port)
    return hmac.new(secret, said, hashlib.sha256).hexdigest().encode()


def segment_of(greeting: bytes) -> int:
    """The bytes of a full packet that a greeting tells."""
    word = greeting[len(GREETING) :].split(b" ")[0]
    return min(int(word), MOST_PAYLOAD) if word.isdigit() and len(word) < 6 else 0


class Pad:
    """Lets no data wait on the way through Slurm.

    Slurm carries pieces of 1 KiB over a connection with Nagle's algorithm (RFC 896): a packet that
    is not full waits until the last such packet is acknowledged, which takes 40 ms if nothing goes
    the other way. So behind data that may wait comes padding that fills its packet; the padding may
    wait."""

    PIECE = 1000
    RECENT = 0.05

    def __init__(self, segment: int = 0) -> None:
        """`segment`: bytes of a full packet there; 0: nothing waits."""
        self.segment = segment
        self._sent_at = -1.0
        self._heard_at = 0.0

    def heard(self, now: float) -> None:
        """Something has come the other way, and so, most of the time, an acknowledgement."""
        self._heard_at = now

    def behind(self, size: int, now: float) -> bytes:
        """What follows so many bytes of frames that are sent now."""
        if not self.segment:
            return b""
        is_open = self._sent_at >= self._heard_at and now - self._sent_at < self.RECENT
        self._sent_at = now
        return frame(NOTHING, 0, bytes(self.segment)) if is_open or size > self.PIECE else b""


class Decoder:
    """Frames from pieces of a stream."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[Tuple[int, int, bytes]]:
        """The frames that are complete by now: kind, channel and payload. Raises `FrameError`."""
        self._data += data
        at, end = 0, len(self._data)
        try:
            with memoryview(self._data) as view:
                while end - at >= HEAD.size:
                    kind, channel, length = HEAD.unpack_from(view, at)
                    if length > MOST_PAYLOAD:
                        raise FrameError("a frame is too long")
                    begin = at + HEAD.size
                    if end - begin < length:
                        break
                    payload = bytes(view[begin : begin + length])
                    at = begin + length
                    yield kind, channel, payload
        finally:
            del self._data[:at]
