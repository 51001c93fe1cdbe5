"""The ciphers of a transport: from what paramiko negotiated to a `Sealer` and an `Opener`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.ciphers import CipherContext
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from trayconnect.ssh.transport.aead_ciphers import (
    ChachaKey,
    ChachaOpener,
    ChachaSealer,
    GcmOpener,
    GcmSealer,
)
from trayconnect.ssh.transport.mac_ciphers import (
    EtmOpener,
    EtmSealer,
    Mac,
    PlainMacOpener,
    PlainMacSealer,
)
from trayconnect.ssh.transport.packet_format import (
    MAX_PACKET_BYTES,
    MIN_LENGTH,
    MIN_PADDING,
    PAYLOAD_START,
    Opener,
    Sealer,
    bad_length,
    pack_head,
    payload_range,
    unpack_uint32,
)

__all__ = [
    "MAX_PACKET_BYTES",
    "PLAIN_OPENER",
    "PLAIN_SEALER",
    "Opener",
    "Sealer",
    "opener_for",
    "sealer_for",
]

_BLOCK = 8


class _PlainSealer:
    """No cipher: the packets before the first key exchange."""

    def size(self, payload: int) -> int:
        return payload + PAYLOAD_START + MIN_PADDING + _BLOCK - 1 & -_BLOCK

    def seal(self, packet: memoryview, payload: int, sequence: int) -> None:  # noqa: ARG002 - no MAC
        padding = len(packet) - PAYLOAD_START - payload
        pack_head(packet, 0, len(packet) - 4, padding)
        packet[-padding:] = bytes(padding)  # as OpenSSH: there is no secret that it could protect


class _PlainOpener:
    """No cipher."""

    def size(self, buffer: memoryview, sequence: int) -> int | None:  # noqa: ARG002 - no MAC
        if len(buffer) < 4:
            return None
        (length,) = unpack_uint32(buffer)
        if (length + 4) % _BLOCK or not MIN_LENGTH <= length <= MAX_PACKET_BYTES:
            raise bad_length(length)
        return int(length) + 4

    def open(self, packet: memoryview, sequence: int) -> tuple[int, int]:  # noqa: ARG002 - no MAC
        return payload_range(packet, len(packet))


PLAIN_SEALER: Sealer = _PlainSealer()
PLAIN_OPENER: Opener = _PlainOpener()


_Engine = CipherContext | AESGCM | ChachaKey


def sealer_for(
    block_engine: _Engine,
    block_size: int,
    mac_engine: Callable[[], Any] | None,
    mac_size: int,
    mac_key: bytes | None,
    sdctr: bool = False,  # noqa: ARG001 - the parameters of paramiko's method
    etm: bool = False,
    aead: bool = False,  # noqa: ARG001
    iv_out: bytes | None = None,
) -> Sealer:
    """The sealer for the arguments of paramiko's `Packetizer.set_outbound_cipher`."""
    if isinstance(block_engine, ChachaKey):
        return ChachaSealer(block_engine)
    if isinstance(block_engine, AESGCM):
        assert iv_out is not None
        return GcmSealer(block_engine, iv_out)
    assert mac_engine is not None
    assert mac_key is not None
    sealer = EtmSealer if etm else PlainMacSealer
    return sealer(block_engine, block_size, Mac(mac_engine, mac_size, mac_key))


def opener_for(
    block_engine: _Engine,
    block_size: int,
    mac_engine: Callable[[], Any] | None,
    mac_size: int,
    mac_key: bytes | None,
    etm: bool = False,
    aead: bool = False,  # noqa: ARG001 - the parameters of paramiko's method
    iv_in: bytes | None = None,
) -> Opener:
    """The opener for the arguments of paramiko's `Packetizer.set_inbound_cipher`."""
    if isinstance(block_engine, ChachaKey):
        return ChachaOpener(block_engine)
    if isinstance(block_engine, AESGCM):
        assert iv_in is not None
        return GcmOpener(block_engine, iv_in)
    assert mac_engine is not None
    assert mac_key is not None
    opener = EtmOpener if etm else PlainMacOpener
    return opener(block_engine, block_size, Mac(mac_engine, mac_size, mac_key))
