"""The binary packet of SSH (RFC 4253 section 6): its limits, its padding and the interfaces of the
ciphers.

    4 bytes  length of what follows, without the MAC
    1 byte   length of the padding
             payload
             padding, at least 4 bytes, to a multiple of the cipher's block
             MAC or tag"""

from __future__ import annotations

import os
import struct
from typing import Protocol

from paramiko import SSHException

MAX_PACKET_BYTES = 256 << 10
"""Limit for the length of a packet, as OpenSSH."""
MIN_LENGTH = 12
"""Least length of a packet whose length is encrypted, or without a cipher: 16 bytes in all."""
PAYLOAD_START = 5
MIN_PADDING = 4

pack_head = struct.Struct(">IB").pack_into
"""Writes the length and the length of the padding."""
pack_uint32 = struct.Struct(">I").pack_into
unpack_uint32 = struct.Struct(">I").unpack_from


class Sealer(Protocol):
    """Encrypts the packets of one direction under one key, one after the other."""

    def size(self, payload: int) -> int:
        """The bytes on the wire of a packet with `payload` bytes of payload."""

    def seal(self, packet: memoryview, payload: int, sequence: int) -> None:
        """Completes and encrypts `packet` in place.

        It has exactly `size(payload)` bytes; its payload lies at 5. `sequence`: its number in this
        direction, modulo 2**32."""


class Opener(Protocol):
    """Decrypts the packets of one direction under one key, one after the other.

    Every error is an `SSHException`, and the end of the connection."""

    def size(self, buffer: memoryview, sequence: int) -> int | None:
        """The bytes on the wire of the packet at the start of `buffer`, which stays as it is. None:
        too few bytes to tell."""

    def open(self, packet: memoryview, sequence: int) -> tuple[int, int]:
        """Verifies and decrypts `packet` in place, which has exactly the bytes of `size`: the start
        and the end of its payload."""


class RandomPadding:
    """Random bytes, drawn many at a time: a system call for each packet would cost as much as its
    encryption.

    RFC 4253 asks for random padding, and OpenSSH sends it with every cipher: a constant would give
    an attacker known plaintext."""

    _DRAWN = 4096

    def __init__(self) -> None:
        self._bytes = b""
        self._used = 0

    def take(self, count: int) -> bytes:
        start, end = self._used, self._used + count
        if end > len(self._bytes):
            self._bytes = os.urandom(self._DRAWN)
            start, end = 0, count
        self._used = end
        return self._bytes[start:end]


def payload_range(packet: memoryview, end: int) -> tuple[int, int]:
    """Start and end of the payload of a decrypted packet whose padding ends at `end`. A packet has
    a payload of at least 1 byte."""
    padding = packet[4]
    if MIN_PADDING <= padding < end - PAYLOAD_START:
        return PAYLOAD_START, end - padding
    raise SSHException(f"Invalid packet: {padding} bytes of padding in {end} bytes")


def bad_length(length: int) -> SSHException:
    return SSHException(f"Invalid packet length: {length} bytes")


def damaged() -> SSHException:
    """A packet was altered or lost on its way, or an attacker made it."""
    return SSHException("Mismatched MAC")
