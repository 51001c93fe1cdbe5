"""Ciphers that authenticate what they encrypt: AES-GCM (RFC 5647, with the negotiation of OpenSSH's
PROTOCOL section 1.6) and chacha20-poly1305@openssh.com (OpenSSH's PROTOCOL.chacha20poly1305)."""

from __future__ import annotations

import struct
from hmac import compare_digest

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.poly1305 import Poly1305
from paramiko import SSHException

from trayconnect.ssh.transport.packet_format import (
    MAX_PACKET_BYTES,
    MIN_PADDING,
    PAYLOAD_START,
    RandomPadding,
    bad_length,
    damaged,
    pack_head,
    payload_range,
    unpack_uint32,
)

TAG_BYTES = 16
CHACHA_KEY_BYTES = 64

_GCM_BLOCK = 16
_pack_counter = struct.Struct(">Q").pack_into
_COUNTER = (1 << 64) - 1

_CHACHA_BLOCK = 8
_KEY_BYTES = CHACHA_KEY_BYTES // 2
_ZEROS = bytes(64)
_MAX_SEALED = 1 << 32
_pack_nonce = struct.Struct(">12xI").pack
"""From a packet's number: 8 bytes are the number of the key stream's block, 8 the packet's."""


class GcmSealer:
    """AES-GCM. The length is sent in clear, and authenticated."""

    def __init__(self, engine: AESGCM, iv: bytes) -> None:
        self._encrypt_into = engine.encrypt_into
        self._nonce = bytearray(iv)
        (self._counter,) = struct.unpack_from(">Q", iv, 4)
        self._padding = RandomPadding()

    def size(self, payload: int) -> int:
        return (payload + 1 + MIN_PADDING + _GCM_BLOCK - 1 & -_GCM_BLOCK) + 4 + TAG_BYTES

    def seal(self, packet: memoryview, payload: int, sequence: int) -> None:  # noqa: ARG002 - the nonce is a counter
        end = len(packet) - TAG_BYTES
        padding = end - PAYLOAD_START - payload
        pack_head(packet, 0, end - 4, padding)
        packet[end - padding : end] = self._padding.take(padding)
        _pack_counter(self._nonce, 4, self._counter)
        self._counter = self._counter + 1 & _COUNTER
        # The ciphertext starts where the plaintext does: OpenSSL then works in place.
        self._encrypt_into(self._nonce, packet[4:end], packet[:4], packet[4:])


class GcmOpener:
    """AES-GCM."""

    def __init__(self, engine: AESGCM, iv: bytes) -> None:
        self._decrypt_into = engine.decrypt_into
        self._nonce = bytearray(iv)
        (self._counter,) = struct.unpack_from(">Q", iv, 4)

    def size(self, buffer: memoryview, sequence: int) -> int | None:  # noqa: ARG002 - as above
        if len(buffer) < 4:
            return None
        (length,) = unpack_uint32(buffer)
        if length % _GCM_BLOCK or not 0 < length <= MAX_PACKET_BYTES:
            raise bad_length(length)
        return int(length) + 4 + TAG_BYTES

    def open(self, packet: memoryview, sequence: int) -> tuple[int, int]:  # noqa: ARG002 - as above
        end = len(packet) - TAG_BYTES
        _pack_counter(self._nonce, 4, self._counter)
        self._counter = self._counter + 1 & _COUNTER
        try:
            self._decrypt_into(self._nonce, packet[4:], packet[:4], packet[4:end])
        except InvalidTag:
            raise damaged() from None
        return payload_range(packet, end)


class ChachaKey:
    """The key material of chacha20-poly1305@openssh.com for one direction."""

    def __init__(self, key: bytes) -> None:
        if len(key) != CHACHA_KEY_BYTES:
            raise ValueError(f"a key of {len(key)} bytes")
        self._payload, self._length = key[:_KEY_BYTES], key[_KEY_BYTES:]

    def streams(self) -> tuple[CipherContext, CipherContext]:
        """The key streams for payload and length, before the first packet. Encryption is
        decryption."""
        first, second = (
            Cipher(ChaCha20(key, bytes(16)), None).encryptor()
            for key in (self._payload, self._length)
        )
        return first, second


class _Chacha:
    """The nonce is the packet's number. The first block of the payload's key stream has the key of
    its Poly1305 tag, which covers the encrypted length and payload."""

    def __init__(self, key: ChachaKey) -> None:
        payload, length = key.streams()
        self._payload_into, self._payload_nonce = payload.update_into, payload.reset_nonce
        self._length_into, self._length_nonce = length.update_into, length.reset_nonce
        self._first_block = bytearray(len(_ZEROS))
        self._tag_key = memoryview(self._first_block)[:_KEY_BYTES]


class ChachaSealer(_Chacha):
    """chacha20-poly1305@openssh.com."""

    def __init__(self, key: ChachaKey) -> None:
        super().__init__(key)
        self._padding = RandomPadding()
        self._sealed = 0

    def size(self, payload: int) -> int:
        return (payload + 1 + MIN_PADDING + _CHACHA_BLOCK - 1 & -_CHACHA_BLOCK) + 4 + TAG_BYTES

    def seal(self, packet: memoryview, payload: int, sequence: int) -> None:
        if self._sealed == _MAX_SEALED:
            raise SSHException("The key encrypted 2**32 packets: one more would repeat a nonce")
        self._sealed += 1
        end = len(packet) - TAG_BYTES
        padding = end - PAYLOAD_START - payload
        pack_head(packet, 0, end - 4, padding)
        packet[end - padding : end] = self._padding.take(padding)
        nonce = _pack_nonce(sequence)
        self._length_nonce(nonce)
        length = packet[:4]
        self._length_into(length, length)
        self._payload_nonce(nonce)
        self._payload_into(_ZEROS, self._first_block)
        body = packet[4:end]
        self._payload_into(body, body)
        packet[end:] = Poly1305.generate_tag(self._tag_key, packet[:end])


class ChachaOpener(_Chacha):
    """chacha20-poly1305@openssh.com."""

    def __init__(self, key: ChachaKey) -> None:
        super().__init__(key)
        self._length = bytearray(4)

    def size(self, buffer: memoryview, sequence: int) -> int | None:
        if len(buffer) < 4:
            return None
        self._length_nonce(_pack_nonce(sequence))
        self._length_into(buffer[:4], self._length)
        (length,) = unpack_uint32(self._length)
        if length % _CHACHA_BLOCK or not 0 < length <= MAX_PACKET_BYTES:
            raise bad_length(length)
        return int(length) + 4 + TAG_BYTES

    def open(self, packet: memoryview, sequence: int) -> tuple[int, int]:
        end = len(packet) - TAG_BYTES
        self._payload_nonce(_pack_nonce(sequence))
        self._payload_into(_ZEROS, self._first_block)
        tag = Poly1305.generate_tag(self._tag_key, packet[:end])
        if not compare_digest(tag, packet[end:]):
            raise damaged()
        body = packet[4:end]
        self._payload_into(body, body)
        return payload_range(packet, end)
