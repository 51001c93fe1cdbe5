"""Frames between this computer and the relay on a compute node. Pure.

Both ends run this text: on the node, it stands before that of `far`. So it needs nothing newer than
Python 3.6, and no other module of ours.

A frame is its kind, a channel's number, the length of its payload, and the payload. This computer
opens all channels and numbers them. Data flows within windows, as in RFC 4254 section 5.2; a
channel's number is free again when both ends have closed it."""

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
WHO = 3
"""Who owns the listener at a target. The channel ends with the answer."""
PING = 4

# From either end.
DATA = 16
WINDOW_MORE = 17
"""So many more bytes may be sent."""
EOF = 18
CLOSE = 19
"""Nothing follows, and nothing more is taken. A payload: the connection was cut off."""
NOTHING = 20
"""Makes the network acknowledge what it has carried."""

# From the node.
OPENED = 32
"""The owner of the listener."""
REFUSED = 33
"""No channel: one byte for the reason, and its text; then the channel is over."""
OWNER = 34
STDERR = 35
EXIT = 36
"""The exit status of the command."""
PONG = 37

# Owners, as in `link.Owner`.
OURS, SYSTEM, UNKNOWN, OTHERS, NOBODY = range(5)

# Why there is no channel.
NO_LISTENER, UNREACHABLE, UNRESOLVED, NOT_OURS, OTHER = range(5)

GREETING = b"@@trayconnect relay 1 "
"""Begins a line; behind it stands the node's name. Start-up files may print before it."""
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


class Decoder:
    """Frames from pieces of a stream."""

    def __init__(self) -> None:
        self._data = bytearray()

    @property
    def is_between(self) -> bool:
        """Whether no frame is incomplete."""
        return not self._data

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
