"""Ciphers with a separate MAC: over the ciphertext (encrypt-then-MAC, OpenSSH's PROTOCOL section
1.5), or over the plaintext (RFC 4253 section 6.4)."""

from __future__ import annotations

from collections.abc import Callable
from hmac import compare_digest
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import CipherContext
from cryptography.hazmat.primitives.hmac import HMAC

from trayconnect.ssh.transport.packet_format import (
    MAX_PACKET_BYTES,
    MIN_LENGTH,
    MIN_PADDING,
    PAYLOAD_START,
    RandomPadding,
    bad_length,
    damaged,
    pack_head,
    pack_uint32,
    payload_range,
    unpack_uint32,
)

_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "md5": hashes.MD5,
    "sha1": hashes.SHA1,
    "sha256": hashes.SHA256,
    "sha512": hashes.SHA512,
}


class Mac:
    """An HMAC over a packet's number and the packet, cut to `size` bytes."""

    def __init__(self, engine: Callable[[], Any], size: int, key: bytes) -> None:
        """`engine`: the hash, a function of hashlib."""
        self.size = size
        # Python's own HMAC costs 0.5 us more for each packet.
        self._copy = HMAC(key, _HASHES[engine().name]()).copy
        self._sequence = bytearray(4)

    def tag(self, sequence: int, data: memoryview) -> bytes:
        pack_uint32(self._sequence, 0, sequence)
        mac = self._copy()
        mac.update(self._sequence)
        mac.update(data)
        return mac.finalize()[: self.size]


def crypt_into(engine: CipherContext) -> Callable[[memoryview, memoryview], object]:
    """The function that encrypts or decrypts whole blocks, from a buffer into the same one."""
    update, update_into = engine.update, engine.update_into
    try:
        update_into(b"", bytearray())
    except ValueError:  # a block cipher (CBC): it needs room behind the data

        def replace(data: memoryview, result: memoryview) -> None:
            result[:] = update(data)

        return replace
    return update_into


class _Sealing:
    def __init__(self, engine: CipherContext, block_size: int, mac: Mac) -> None:
        self._crypt_into = crypt_into(engine)
        self._block_size = block_size
        self._tag, self._mac_size = mac.tag, mac.size
        self._padding = RandomPadding()


class EtmSealer(_Sealing):
    """Encrypt-then-MAC. The length is sent in clear, and authenticated."""

    def size(self, payload: int) -> int:
        block = self._block_size
        return (payload + 1 + MIN_PADDING + block - 1 & -block) + 4 + self._mac_size

    def seal(self, packet: memoryview, payload: int, sequence: int) -> None:
        end = len(packet) - self._mac_size
        padding = end - PAYLOAD_START - payload
        pack_head(packet, 0, end - 4, padding)
        packet[end - padding : end] = self._padding.take(padding)
        body = packet[4:end]
        self._crypt_into(body, body)
        packet[end:] = self._tag(sequence, packet[:end])


class PlainMacSealer(_Sealing):
    """A MAC over the plaintext. The length is encrypted."""

    def size(self, payload: int) -> int:
        block = self._block_size
        return (payload + PAYLOAD_START + MIN_PADDING + block - 1 & -block) + self._mac_size

    def seal(self, packet: memoryview, payload: int, sequence: int) -> None:
        end = len(packet) - self._mac_size
        padding = end - PAYLOAD_START - payload
        pack_head(packet, 0, end - 4, padding)
        packet[end - padding : end] = self._padding.take(padding)
        content = packet[:end]
        packet[end:] = self._tag(sequence, content)
        self._crypt_into(content, content)


class EtmOpener:
    """Encrypt-then-MAC."""

    def __init__(self, engine: CipherContext, block_size: int, mac: Mac) -> None:
        self._crypt_into = crypt_into(engine)
        self._block_size = block_size
        self._tag, self._mac_size = mac.tag, mac.size

    def size(self, buffer: memoryview, sequence: int) -> int | None:  # noqa: ARG002 - in the MAC
        if len(buffer) < 4:
            return None
        (length,) = unpack_uint32(buffer)
        if length % self._block_size or not 0 < length <= MAX_PACKET_BYTES:
            raise bad_length(length)
        return int(length) + 4 + self._mac_size

    def open(self, packet: memoryview, sequence: int) -> tuple[int, int]:
        end = len(packet) - self._mac_size
        if not compare_digest(self._tag(sequence, packet[:end]), packet[end:]):
            raise damaged()
        body = packet[4:end]
        self._crypt_into(body, body)
        return payload_range(packet, end)


class PlainMacOpener:
    """A MAC over the plaintext: the length must be believed, within its limits, before the packet
    can be verified."""

    def __init__(self, engine: CipherContext, block_size: int, mac: Mac) -> None:
        self._crypt_into = crypt_into(engine)
        self._update = engine.update
        self._block_size = block_size
        self._tag, self._mac_size = mac.tag, mac.size
        self._first_block = b""
        """The decrypted first block of the next packet, once its length was asked for: the key
        stream moves on with it."""

    def size(self, buffer: memoryview, sequence: int) -> int | None:  # noqa: ARG002 - in the MAC
        if not self._first_block:
            if len(buffer) < self._block_size:
                return None
            self._first_block = self._update(buffer[: self._block_size])
        (length,) = unpack_uint32(self._first_block)
        if (length + 4) % self._block_size or not MIN_LENGTH <= length <= MAX_PACKET_BYTES:
            raise bad_length(length)
        return int(length) + 4 + self._mac_size

    def open(self, packet: memoryview, sequence: int) -> tuple[int, int]:
        end = len(packet) - self._mac_size
        first = self._first_block
        if first:
            self._first_block = b""
            packet[: len(first)] = first
        rest = packet[len(first) : end]
        self._crypt_into(rest, rest)
        if not compare_digest(self._tag(sequence, packet[:end]), packet[end:]):
            raise damaged()
        return payload_range(packet, end)
