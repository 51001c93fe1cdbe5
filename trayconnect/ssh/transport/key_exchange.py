"""The key exchange of a transport: the negotiated algorithms, and the proof that the server holds
its host key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko import Message
from paramiko.kex_gex import KexGexSHA256

from trayconnect.config.algorithms import AEAD_CIPHERS, plain
from trayconnect.ssh.auth.signatures import verifies
from trayconnect.ssh.hostkeys import host_certificates
from trayconnect.ssh.hostkeys.host_certificates import PresentedKey
from trayconnect.ssh.transport.aead_ciphers import CHACHA_KEY_BYTES, ChachaKey
from trayconnect.ssh.transport.offered_algorithms import AlgorithmOffer

if TYPE_CHECKING:
    import socket

    class _KeyExchangeBase(paramiko.Transport):
        """paramiko's class, with the internals that are used here; a unit test checks that they
        exist."""

        host_key_type: str
        H: bytes
        agreed_on_strict_kex: bool
        remote_cipher: str
        remote_mac: str
        _cipher_info: Mapping[str, Mapping[str, object]]
        _kex_info: Mapping[str, object]
        _key_info: Mapping[str, object]
        K: int | None
        in_kex: bool

        def _really_parse_kex_init(
            self, m: Message, ignore_first_byte: bool = False
        ) -> dict[str, Any]: ...
        def _parse_kex_init(self, m: Message) -> None: ...
        def _parse_newkeys(self, m: Message) -> None: ...
        def _verify_key(self, host_key: bytes, sig: bytes) -> None: ...

    class _KexGex(KexGexSHA256):
        def _parse_kexdh_gex_group(self, m: Message) -> None: ...
else:
    _KeyExchangeBase = paramiko.Transport
    _KexGex = KexGexSHA256


class GroupExchange(_KexGex):
    """RFC 4419, with a group of the requested size.

    paramiko accepts a group of 1024 bits, and loops without end on a negative
    number."""

    def _parse_kexdh_gex_group(self, m: Message) -> None:
        prime = Message(m.asbytes()).get_mpint()
        if prime < 0 or prime.bit_length() < self.min_bits:
            raise paramiko.SSHException("the server's group is too small to be safe")
        super()._parse_kexdh_gex_group(m)


def _key_exchanges(known: Mapping[str, object]) -> Mapping[str, object]:
    """paramiko's key exchanges, with curve25519 under the name of RFC 8731: some servers have no
    other."""
    found = {**known, GroupExchange.name: GroupExchange}
    first = known.get("curve25519-sha256@libssh.org")  # None where OpenSSL lacks it
    return {**found, "curve25519-sha256": first} if first else found


def _ciphers(known: Mapping[str, Mapping[str, object]]) -> Mapping[str, Mapping[str, object]]:
    """paramiko's ciphers, and chacha20: some hardened servers have no other."""
    chacha = {
        "class": ChachaKey,
        "block-size": 8,
        "iv-size": 0,  # a packet's nonce is its number
        "key-size": CHACHA_KEY_BYTES,
        "is_aead": True,
    }
    return {**known, "chacha20-poly1305@openssh.com": chacha}


class KeyExchangeTransport(_KeyExchangeBase):
    """A transport that offers the algorithms of `offer`, and records the result."""

    _cipher_info = _ciphers(_KeyExchangeBase._cipher_info)  # noqa: SLF001
    _kex_info = _key_exchanges(_KeyExchangeBase._kex_info)  # noqa: SLF001

    def __init__(self, sock: socket.socket, offer: AlgorithmOffer, **options: Any) -> None:
        super().__init__(sock, **options)
        self.offer = offer
        self.peer_offer: Mapping[str, Any] = {}
        """The server's algorithms, after they were received; our MACs where the cipher needs
        none."""
        self.kex = ""
        """The negotiated key exchange."""
        self.presented: PresentedKey | None = None
        """The host key that the server proved to hold."""

    @property
    def preferred_kex(self) -> Sequence[str]:
        """Key exchanges; some need a newer OpenSSL than others."""
        return tuple(name for name in self.offer.kex if name in self._kex_info)

    @property
    def preferred_ciphers(self) -> Sequence[str]:
        """Ciphers, the fastest first."""
        return self.offer.ciphers

    @property
    def preferred_macs(self) -> Sequence[str]:
        """MACs for the ciphers that need one."""
        return self.offer.macs

    @property
    def preferred_keys(self) -> Sequence[str]:
        """Host key algorithms; paramiko would add those of certificates each time."""
        return self.offer.host_keys

    def agreement(self) -> str:
        """The algorithms in use, for logs."""
        found = [self.kex, self.host_key_type]
        for cipher, mac in (
            (self.local_cipher, self.local_mac),
            (self.remote_cipher, self.remote_mac),
        ):
            found += [str(cipher)] if cipher in AEAD_CIPHERS else [str(cipher), str(mac)]
        strict = "strict " if self.agreed_on_strict_kex else ""
        return strict + ", ".join(dict.fromkeys(found))

    def _really_parse_kex_init(self, m: Message, ignore_first_byte: bool = False) -> dict[str, Any]:
        # paramiko asks for a common MAC even if the cipher needs none, and servers with such
        # ciphers alone may have no MAC of ours.
        offered = super()._really_parse_kex_init(m, ignore_first_byte)
        for side in ("client", "server"):
            ciphers = offered[f"{side}_encrypt_algo_list"]
            if next(filter(ciphers.__contains__, self.preferred_ciphers), None) in AEAD_CIPHERS:
                offered[f"{side}_mac_algo_list"] = list(self.preferred_macs)
        return offered

    def _parse_kex_init(self, m: Message) -> None:
        self.peer_offer = self._really_parse_kex_init(Message(m.asbytes()))
        super()._parse_kex_init(m)
        theirs = self.peer_offer["kex_algo_list"]
        self.kex = next(name for name in self.preferred_kex if name in theirs)

    def _parse_newkeys(self, m: Message) -> None:
        if self.K is None:
            raise paramiko.SSHException("new keys without a key exchange")
        super()._parse_newkeys(m)
        # paramiko leaves it set if so much was sent since our NEWKEYS that the next exchange is due
        # already, and then begins none any more.
        self.in_kex = False

    def _verify_key(self, host_key: bytes, sig: bytes) -> None:
        # paramiko would accept a key of another type than negotiated, a certificate for its bare
        # key, and a different key in a re-exchange, which would go unverified.
        presented = host_certificates.parse_presented(self.host_key_type, host_key)
        if not verifies(presented.key, self.H, sig, (plain(self.host_key_type),)):
            raise paramiko.SSHException("the server does not hold the host key that it shows")
        if self.presented not in (None, presented):
            raise paramiko.SSHException("another host key than before in a key re-exchange")
        self.presented = presented
