"""The ciphers of SSH packets: against published vectors, paramiko's packets, and altered bytes."""

from __future__ import annotations

import itertools
import os
import struct
from dataclasses import dataclass
from functools import cache
from typing import Any

import paramiko
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.poly1305 import Poly1305
from hypothesis import given
from hypothesis import strategies as st
from paramiko import Message, SSHException
from paramiko.packet import Packetizer

from trayconnect.config.algorithms import CIPHERS, LEGACY_CIPHERS, LEGACY_MACS, MACS
from trayconnect.ssh.transport import aead_ciphers
from trayconnect.ssh.transport.aead_ciphers import ChachaKey, GcmOpener, GcmSealer
from trayconnect.ssh.transport.ciphers import (
    MAX_PACKET_BYTES,
    PLAIN_OPENER,
    PLAIN_SEALER,
    Opener,
    Sealer,
    opener_for,
    sealer_for,
)

CHACHA = "chacha20-poly1305@openssh.com"
PLAIN = "none"
_PARAMIKO: Any = paramiko.Transport


@dataclass(frozen=True)
class Codec:
    """A cipher and its MAC, if it needs one, under one key."""

    cipher: str
    mac: str = ""

    def __str__(self) -> str:
        return f"{self.cipher} {self.mac}".strip()

    @property
    def block(self) -> int:
        own = {PLAIN: 8, CHACHA: 8}
        return own.get(self.cipher) or int(_PARAMIKO._cipher_info[self.cipher]["block-size"])

    @property
    def tag(self) -> int:
        """The bytes of its MAC."""
        if self.mac:
            return int(_PARAMIKO._mac_info[self.mac]["size"])
        return 0 if self.cipher == PLAIN else 16

    @property
    def shows_length(self) -> bool:
        """Whether the length is sent in clear."""
        return "gcm" in self.cipher or self.mac.endswith("-etm@openssh.com") or self.cipher == PLAIN

    @property
    def pads_length(self) -> bool:
        """Whether the length field is part of the padded blocks."""
        return self.cipher == PLAIN or not (self.shows_length or self.cipher == CHACHA)

    def arguments(self, *, encrypt: bool) -> dict[str, Any]:
        """As paramiko passes them to `set_outbound_cipher` or `set_inbound_cipher`."""
        if self.cipher == CHACHA:
            return _aead(ChachaKey(_bytes("key", 64)), self.block, b"", encrypt=encrypt)
        info = _PARAMIKO._cipher_info[self.cipher]
        aead = "gcm" in self.cipher
        iv = _bytes("iv", info.get("iv-size", self.block))
        operation = _PARAMIKO._ENCRYPT if encrypt else _PARAMIKO._DECRYPT
        engine = _PARAMIKO._get_engine(
            _PARAMIKO, self.cipher, _bytes("key", info["key-size"]), iv, operation, aead
        )
        if aead:
            return _aead(engine, self.block, iv, encrypt=encrypt)
        mac = _PARAMIKO._mac_info[self.mac]
        more = {"sdctr": self.cipher.endswith("-ctr")} if encrypt else {}
        return {
            "block_engine": engine,
            "block_size": self.block,
            "mac_engine": mac["class"],
            "mac_size": mac["size"],
            "mac_key": _bytes("mac", mac["class"]().digest_size),
            "etm": "etm" in self.mac,
            **more,
        }

    def sealer(self) -> Sealer:
        if self.cipher == PLAIN:
            return PLAIN_SEALER
        return sealer_for(**self.arguments(encrypt=True))

    def opener(self) -> Opener:
        if self.cipher == PLAIN:
            return PLAIN_OPENER
        return opener_for(**self.arguments(encrypt=False))


def _aead(engine: object, block: int, iv: bytes, *, encrypt: bool) -> dict[str, Any]:
    return {
        "block_engine": engine,
        "block_size": block,
        "mac_engine": None,
        "mac_size": 16,
        "mac_key": None,
        "etm": False,
        "aead": True,
        "iv_out" if encrypt else "iv_in": iv,
        **({"sdctr": False} if encrypt else {}),
    }


@cache
def _bytes(purpose: str, size: int) -> bytes:
    return os.urandom(size)


_GCM = tuple(name for name in CIPHERS if "gcm" in name)
_WITH_MAC = tuple(name for name in CIPHERS if "ctr" in name) + LEGACY_CIPHERS
PARAMIKOS = [
    *map(Codec, _GCM),
    *itertools.starmap(Codec, itertools.product(_WITH_MAC, MACS + LEGACY_MACS)),
]
SEALED = [Codec(CHACHA), *PARAMIKOS]
CODECS = [Codec(PLAIN), *SEALED]
every_codec = pytest.mark.parametrize("codec", CODECS, ids=str)
every_cipher = pytest.mark.parametrize("codec", SEALED, ids=str)


def seal(sealer: Sealer, payload: bytes, sequence: int = 0) -> bytearray:
    size = sealer.size(len(payload))
    packet = bytearray(os.urandom(size))
    packet[5 : 5 + len(payload)] = payload
    sealer.seal(memoryview(packet), len(payload), sequence)
    return packet


def open_(opener: Opener, packet: bytes | bytearray, sequence: int = 0) -> bytes:
    """The payload of the packet at the start of `packet`; whatever follows stays as it is."""
    buffer = bytearray(packet)
    view = memoryview(buffer)
    size = opener.size(view, sequence)
    assert size is not None
    if size > len(buffer):  # an attacker may send as much as is waited for
        view = memoryview(bytearray(bytes(buffer).ljust(size, b"\x5a")))
    start, end = opener.open(view[:size], sequence)
    if size <= len(buffer):
        assert buffer[size:] == packet[size:]
    return bytes(view[start:end])


# --- whole packets ------------------------------------------------------------------------------


@every_codec
def test_every_size_comes_back(codec: Codec) -> None:
    sealer, opener = codec.sealer(), codec.opener()
    sizes = (*range(1, 301), 4095, 32 << 10, 65537, MAX_PACKET_BYTES - 300)
    for sequence, size in enumerate(sizes):
        payload = os.urandom(size)
        packet = seal(sealer, payload, sequence)
        blocks = len(packet) - codec.tag - (0 if codec.pads_length else 4)
        assert blocks % codec.block == 0
        assert 4 <= len(packet) - codec.tag - 5 - size < 4 + codec.block
        if size > 8 and codec.cipher != PLAIN:
            assert payload not in packet
        assert open_(opener, packet, sequence) == payload


@given(
    codec=st.sampled_from(CODECS),
    payloads=st.lists(st.binary(min_size=1, max_size=400), min_size=1, max_size=8),
    first=st.sampled_from([0, 1, 2**31, 2**32 - 3, 2**32 - 1]) | st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_a_stream_of_packets_in_any_pieces(
    codec: Codec, payloads: list[bytes], first: int, data: st.DataObject
) -> None:
    """Numbers wrap after 2**32 - 1, pieces may end anywhere, and the buffer may be moved between
    two questions for a size."""
    sealer, opener = codec.sealer(), codec.opener()
    numbers = [(first + i) % 2**32 for i in range(len(payloads))]
    wire = b"".join(map(bytes, map(seal, itertools.repeat(sealer), payloads, numbers)))
    found: list[bytes] = []
    buffer = bytearray()
    while wire:
        cut = data.draw(st.integers(1, min(len(wire), 300)))
        buffer = bytearray(bytes(buffer) + wire[:cut])
        wire = wire[cut:]
        while True:
            sequence = (first + len(found)) % 2**32
            size = opener.size(memoryview(buffer), sequence)
            if size is None or size > len(buffer):
                break
            start, end = opener.open(memoryview(buffer)[:size], sequence)
            found.append(bytes(buffer[start:end]))
            buffer = buffer[size:]
    assert found == payloads
    assert not buffer


@every_codec
def test_a_part_of_a_packet(codec: Codec) -> None:
    packet = seal(codec.sealer(), b"x" * 40)
    patient = codec.opener()  # asked after each byte
    for arrived in range(len(packet) + 1):
        view = memoryview(packet[:arrived])
        enough = arrived >= (4 if codec.shows_length or codec.cipher == CHACHA else codec.block)
        expected = len(packet) if enough else None
        assert codec.opener().size(view, 0) == expected
        assert patient.size(view, 0) == patient.size(view, 0) == expected
        assert view == packet[:arrived]
    assert open_(patient, packet) == b"x" * 40
    start, end = codec.opener().open(memoryview(packet), 0)  # not asked for its size
    assert packet[start:end] == b"x" * 40


# --- altered packets ----------------------------------------------------------------------------


@every_cipher
def test_each_flipped_bit_is_refused(codec: Codec) -> None:
    packet = seal(codec.sealer(), b"abc")
    for bit in range(8 * len(packet)):
        altered = packet.copy()
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SSHException):
            open_(codec.opener(), altered)


@every_cipher
def test_order_matters(codec: Codec) -> None:
    sealer = codec.sealer()
    first, second = (seal(sealer, b"the same content", number) for number in range(2))
    assert first != second
    with pytest.raises(SSHException):  # the first one was dropped
        open_(codec.opener(), second, 0)
    opener = codec.opener()
    open_(opener, first, 0)
    with pytest.raises(SSHException):  # the first one is repeated
        open_(opener, first, 1)


@every_codec
def test_an_impossible_length(codec: Codec) -> None:
    bound = MAX_PACKET_BYTES + (0 if codec.pads_length else 4)
    allowed = bound // codec.block * codec.block
    for length in (
        *range(8 if not codec.pads_length else 12),
        *range(allowed - 3, allowed),
        *range(allowed + codec.block, allowed + 2 * codec.block),
        MAX_PACKET_BYTES + codec.block - 4,
        MAX_PACKET_BYTES + codec.block,
        2**31,
        2**32 - codec.block,
        2**32 - 4,
        2**32 - 1,
    ):
        claimed = encrypt_plain(codec, struct.pack(">IB", length, 4) + bytes(27))
        opener = codec.opener()
        for _ in range(2):
            with pytest.raises(SSHException, match="Invalid packet length"):
                opener.size(memoryview(claimed), 0)


@every_codec
def test_an_impossible_padding(codec: Codec) -> None:
    """A peer that has the key, and lies."""
    length = 32 - (4 if codec.pads_length else 0)
    for padding in range(256):
        packet = struct.pack(">IB", length, padding) + b"p" * (length - 1)
        wire = encrypt_plain(codec, packet)
        if 4 <= padding < length - 1:
            assert open_(codec.opener(), wire) == b"p" * (length - 1 - padding)
        else:
            with pytest.raises(SSHException, match="Invalid packet"):
                open_(codec.opener(), wire)


# --- nonces -------------------------------------------------------------------------------------


def test_the_counter_of_gcm_wraps_within_its_8_bytes() -> None:
    key = os.urandom(16)
    iv = b"\x01\x02\x03\xff" + b"\xff" * 7 + b"\xfe"
    sealer, opener = GcmSealer(AESGCM(key), iv), GcmOpener(AESGCM(key), iv)
    for nonce in (iv, iv[:4] + b"\xff" * 8, iv[:4] + bytes(8), iv[:4] + bytes(7) + b"\1"):
        packet = bytes(seal(sealer, b"payload"))
        plain = AESGCM(key).decrypt(nonce, packet[4:], packet[:4])
        assert plain[1:8] == b"payload"
        assert open_(opener, packet) == b"payload"


def test_chacha_refuses_to_repeat_a_nonce(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aead_ciphers, "_MAX_SEALED", 3)
    sealer = Codec(CHACHA).sealer()
    for number in (2**32 - 1, 0, 1):
        seal(sealer, b"x", number)
    with pytest.raises(SSHException, match="nonce"):
        seal(sealer, b"x", 2)


@every_cipher
def test_padding_is_random(codec: Codec) -> None:
    found = []
    for _ in range(2):
        packet = memoryview(seal(codec.sealer(), b"x"))
        _, end = codec.opener().open(packet, 0)
        found.append(packet[end : len(packet) - codec.tag])
    assert len(found[0]) == len(found[1]) >= 4
    assert found[0] != found[1]


# --- other implementations ----------------------------------------------------------------------


# draft-ietf-sshm-chacha20-poly1305 appendix A: key, packet number 7, packet, and what is sent.
DRAFT_KEY = bytes.fromhex(
    "8bbff6855fc102338c373e73aac0c914f076a905b2444a32eecaffeae22becc5"
    "e9b7a7a5825a8249346ec1c28301cf394543fc7569887d76e168f37562ac0740"
)
DRAFT_PACKET = bytes.fromhex(
    "00000048065e00000000000000384c6f72656d20697073756d20646f6c6f7220"
    "73697420616d65742c20636f6e7365637465747572206164697069736963696e"
    "6720656c69744e43e804dc6c"
)
DRAFT_SENT = bytes.fromhex(
    "2c3ecce4a5bc05895bf07a7ba956b6c68829ac7c83b780b7000ecde745afc705"
    "bbc378ce03a280236b87b53bed5839662302b164b6286a48cd1e097138e3cb90"
    "9b8b2b829dd18d2a35ff82d995349e855bf02c298ef775f2d1a7e8b8"
)


def test_the_example_of_the_draft_of_chacha(monkeypatch: pytest.MonkeyPatch) -> None:
    assert openssh_chacha(DRAFT_KEY, 7, DRAFT_PACKET) == DRAFT_SENT
    padding = DRAFT_PACKET[-6:]
    monkeypatch.setattr(os, "urandom", lambda size: padding.ljust(size, b"."))
    payload = DRAFT_PACKET[5:-6]
    sealer = aead_ciphers.ChachaSealer(ChachaKey(DRAFT_KEY))
    assert seal(sealer, payload, 7) == DRAFT_SENT
    assert open_(aead_ciphers.ChachaOpener(ChachaKey(DRAFT_KEY)), DRAFT_SENT, 7) == payload


def openssh_chacha(key: bytes, sequence: int, packet: bytes) -> bytes:
    """OpenSSH's PROTOCOL.chacha20poly1305, step by step."""

    def stream(key: bytes, block: int, data: bytes) -> bytes:
        nonce = struct.pack("<Q", block) + struct.pack(">Q", sequence)
        return Cipher(ChaCha20(key, nonce), None).encryptor().update(data)

    tag_key = stream(key[:32], 0, bytes(32))
    sent = stream(key[32:], 0, packet[:4]) + stream(key[:32], 1, packet[4:])
    return sent + Poly1305.generate_tag(tag_key, sent)


class Pipe:
    """As much of a socket as paramiko's packets need."""

    def __init__(self) -> None:
        self.data = bytearray()

    def send(self, data: bytes) -> int:
        self.data += data
        return len(data)

    def recv(self, size: int) -> bytes:
        data, self.data = bytes(self.data[:size]), self.data[size:]
        return data


class GivenPackets(Packetizer):
    """Sends a message as it is, in place of a packet around it."""

    def _build_packet(self, payload: bytes) -> bytes:
        return payload


def encrypt_plain(codec: Codec, packet: bytes) -> bytes:
    """A packet of any lengths as a peer sends it that has the key."""
    if codec.cipher == CHACHA:
        return openssh_chacha(_bytes("key", 64), 0, packet)
    pipe = Pipe()
    packets = GivenPackets(pipe)  # type: ignore[arg-type]
    if codec.cipher != PLAIN:
        packets.set_outbound_cipher(**codec.arguments(encrypt=True))
    message = Message()
    message.add_bytes(packet)
    packets.send_message(message)
    return bytes(pipe.data)


_SIZES = (*range(1, 70), 255, 256, 1000, 32768)


@pytest.mark.parametrize("codec", [Codec(PLAIN), *PARAMIKOS], ids=str)
def test_paramiko_understands_us(codec: Codec) -> None:
    pipe = Pipe()
    packets = Packetizer(pipe)  # type: ignore[arg-type]
    if codec.cipher != PLAIN:
        packets.set_inbound_cipher(**codec.arguments(encrypt=False))
    sealer = codec.sealer()
    for sequence, size in enumerate(_SIZES):
        payload = os.urandom(size)
        pipe.data += seal(sealer, payload, sequence)
        command, message = packets.read_message()
        assert bytes([command]) + message.asbytes() == payload


@pytest.mark.parametrize("codec", [Codec(PLAIN), *PARAMIKOS], ids=str)
def test_we_understand_paramiko(codec: Codec) -> None:
    pipe = Pipe()
    packets = Packetizer(pipe)  # type: ignore[arg-type]
    if codec.cipher != PLAIN:
        packets.set_outbound_cipher(**codec.arguments(encrypt=True))
    opener = codec.opener()
    for sequence, size in enumerate(_SIZES):
        payload = os.urandom(size)
        message = Message()
        message.add_bytes(payload)
        packets.send_message(message)
        packet = pipe.recv(1 << 20)
        assert open_(opener, packet, sequence) == payload
