"""The algorithms to offer to a server, and the mismatch if none is common.

`config.ssh_algorithms` lists the available algorithms."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from trayconnect.config.algorithms import (
    AEAD_CIPHERS,
    CIPHERS,
    HOST_KEYS,
    KEX,
    LEGACY_CIPHERS,
    LEGACY_MACS,
    MACS,
    certified,
    is_certified,
    plain,
)
from trayconnect.core import sanitize
from trayconnect.ssh.config.ssh_options import SshOptions

_RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256")


def signatures(key_type: str) -> tuple[str, ...]:
    """The signature algorithms of a key type, best first (RFC 8332 for RSA)."""
    return _RSA_SIGNATURES if key_type == "ssh-rsa" else (key_type,)


def key_type(algorithm: str) -> str:
    """The type of the plain keys behind a host key algorithm, of certificates too."""
    signature = plain(algorithm)
    return "ssh-rsa" if signature in _RSA_SIGNATURES else signature


def signature_for(key_type: str, accepted: Sequence[str]) -> str | None:
    """The signature algorithm for a key of `key_type` and a server that accepts the algorithms
    `accepted` (its `server-sig-algs`, RFC 8308; empty: not announced). None: the server accepts no
    such key."""
    candidates = signatures(key_type)
    if not accepted:
        return candidates[0]
    return next((name for name in candidates if name in accepted), None)


@dataclass(frozen=True, slots=True)
class AlgorithmOffer:
    """The offered algorithms, best first: the lists of SSH_MSG_KEXINIT (RFC 4253 section 7.1)."""

    kex: tuple[str, ...] = KEX
    host_keys: tuple[str, ...] = HOST_KEYS
    ciphers: tuple[str, ...] = CIPHERS
    macs: tuple[str, ...] = MACS


class NothingLeftError(Exception):
    """ssh_config(5) names no supported and allowed algorithm of `keyword`; `acceptable` are those
    named."""

    def __init__(self, keyword: str, acceptable: Sequence[str]) -> None:
        super().__init__(f"{keyword} {','.join(acceptable)}")
        self.keyword = keyword
        self.acceptable = tuple(acceptable)


def choose(
    options: SshOptions,
    *,
    legacy: Collection[str] = (),
    known_types: Iterable[str] = (),
    certificates: bool = False,
) -> AlgorithmOffer:
    """The algorithms to offer to one server. Raises `NothingLeftError`.

    Lists in `options` replace ours, in their order, without disallowed algorithms. `legacy` names
    more to allow, last. Host key algorithms of `known_types`, those on file for the host, come
    first even so: a server with several keys then presents the known one, without a false alarm.
    `certificates`: whether an authority is on file for the host; certificate algorithms then come
    before all."""
    ciphers = CIPHERS + tuple(name for name in LEGACY_CIPHERS if name in legacy)
    macs = MACS + tuple(name for name in LEGACY_MACS if name in legacy)
    signed = tuple(map(certified, HOST_KEYS)) if certificates else ()
    host_keys = _agreed("HostKeyAlgorithms", options.host_key_algorithms, signed + HOST_KEYS)
    known = set(known_types)
    chosen_ciphers = _agreed("Ciphers", options.ciphers, ciphers)
    try:
        chosen_macs = _agreed("MACs", options.macs, macs)
    except NothingLeftError:
        chosen_ciphers = tuple(name for name in chosen_ciphers if name in AEAD_CIPHERS)
        if not chosen_ciphers:
            raise
        chosen_macs = MACS  # unused
    return AlgorithmOffer(
        kex=_agreed("KexAlgorithms", options.kex_algorithms, KEX),
        host_keys=tuple(sorted(host_keys, key=lambda name: _rank(name, known))),
        ciphers=chosen_ciphers,
        macs=chosen_macs,
    )


def _agreed(keyword: str, acceptable: Sequence[str], allowed: Sequence[str]) -> tuple[str, ...]:
    if not acceptable:
        return tuple(allowed)
    found = tuple(dict.fromkeys(name for name in acceptable if name in allowed))
    if not found:
        raise NothingLeftError(keyword, acceptable)
    return found


def _rank(algorithm: str, known: Collection[str]) -> int:
    if is_certified(algorithm):
        return 0
    return 1 if key_type(algorithm) in known else 2


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A list in which the server's algorithms and ours have none in common."""

    kind: str
    """"key exchange", "host key", "cipher" or "MAC"."""
    theirs: tuple[str, ...]
    legacy: str | None = None
    """Algorithms that the server's entry could allow to resolve it."""
    acceptable: tuple[str, ...] = ()
    """The algorithms that we support and allow."""
    ruled_out: bool = False
    """Whether the server has an allowed algorithm that ssh_config(5) excludes."""

    @property
    def unsupported(self) -> tuple[str, ...]:
        """Those of the server's that are safe by their names: this program does not support
        them."""
        names = (sanitize.line(name, 80) for name in self.theirs if not _WEAK.search(name))
        return tuple(filter(None, names))[:8]

    def __str__(self) -> str:
        offered = sanitize.line(", ".join(self.theirs)) or "nothing"
        return f"{self.kind}: it offers only {offered}"


_LISTS = (
    ("key exchange", "kex_algo_list"),
    ("host key", "server_key_algo_list"),
    ("cipher", "client_encrypt_algo_list"),
    ("cipher", "server_encrypt_algo_list"),
    ("MAC", "client_mac_algo_list"),
    ("MAC", "server_mac_algo_list"),
)
# Algorithms that no current server is limited to: SHA-1 and MD5, CBC, DSA, RC4 and other obsolete
# ciphers, groups of 1024 bits.
_WEAK = re.compile(
    r"sha1\b|md5|cbc|arcfour|blowfish|cast128|3des|\bdes\b|ripemd|^ssh-rsa|ssh-dss|group1-|^none$|"
    r"^hmac-sha1|x509v3-sign"
)
_LEGACY = {"cipher": LEGACY_CIPHERS, "MAC": LEGACY_MACS}
_NO_ALGORITHMS = ("ext-info-", "kex-strict-")


def missing(theirs: Mapping[str, object], ours: AlgorithmOffer) -> list[Mismatch]:
    """The mismatches between a server's algorithms and ours.

    `theirs` is the server's SSH_MSG_KEXINIT (RFC 4253 section 7.1) as paramiko parses it."""
    acceptable, usual = _by_kind(ours), _by_kind(AlgorithmOffer())
    found: dict[str, Mismatch] = {}
    for kind, field in _LISTS:
        value = theirs.get(field)
        names = tuple(map(str, value)) if isinstance(value, list) else ()
        if not set(names) & set(acceptable[kind]):
            shown = tuple(name for name in names if not name.startswith(_NO_ALGORITHMS))
            legacy = next((name for name in _LEGACY.get(kind, ()) if name in names), None)
            ruled_out = bool(set(names) & set(usual[kind]))
            found.setdefault(kind, Mismatch(kind, shown, legacy, acceptable[kind], ruled_out))
    return list(found.values())


def _by_kind(offer: AlgorithmOffer) -> dict[str, tuple[str, ...]]:
    return {
        "key exchange": offer.kex,
        "host key": offer.host_keys,
        "cipher": offer.ciphers,
        "MAC": offer.macs,
    }
