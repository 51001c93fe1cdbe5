"""The SSH algorithms that are offered, best first, and the legacy ones that one server may be
allowed.

This is a list of allowed algorithms, not of forbidden ones, so that an algorithm that a new
paramiko adds is not used before it was reviewed. An algorithm in neither list is never used.
paramiko 5 has removed some (signatures and key exchanges with SHA-1, group1, DSA, arcfour), and
lacks others (umac)."""

from __future__ import annotations

import difflib

KEX = (
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group14-sha256",
)

# They authenticate what they encrypt, and need no MAC. The fastest first: AES-GCM takes a third of
# chacha20's time for a packet of 32 KiB, and a fifth of that of CTR with its MAC.
AEAD_CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
)
CIPHERS = (
    *AEAD_CIPHERS,
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)

MACS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)

HOST_KEYS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)

# Off by default, and used only for a server whose entry names them; the least weak first.
LEGACY_CIPHERS = ("aes256-cbc", "aes192-cbc", "aes128-cbc", "3des-cbc")
LEGACY_MACS = ("hmac-sha1", "hmac-sha1-96", "hmac-md5", "hmac-md5-96")
LEGACY = LEGACY_CIPHERS + LEGACY_MACS

_CERTIFICATE_SUFFIX = "-cert-v01@openssh.com"

_STRONG = frozenset(KEX + CIPHERS + MACS + HOST_KEYS)


def legacy_name(value: str) -> str:
    """An algorithm that `legacy` may name. Raises ValueError as `values` does."""
    if value in LEGACY:
        return value
    if value in _STRONG:
        raise ValueError("is allowed already: remove it")
    near = difflib.get_close_matches(value.lower(), LEGACY, n=1, cutoff=0.75)
    if near:
        raise ValueError(f"cannot be allowed: did you mean '{near[0]}'?")
    raise ValueError(f"cannot be allowed; these can: {', '.join(LEGACY)}")


def is_certified(name: str) -> bool:
    """Whether `name`, of a key type or an algorithm, is one of a certificate."""
    return name.endswith(_CERTIFICATE_SUFFIX)


def plain(name: str) -> str:
    """The name without the certificate; any other name stays as it is."""
    if not is_certified(name):
        return name
    base = name.removesuffix(_CERTIFICATE_SUFFIX)
    return f"{base}@openssh.com" if base.startswith("sk-") else base


def certified(name: str) -> str:
    """The certificate variant of a key type's or an algorithm's name."""
    return name.removesuffix("@openssh.com") + _CERTIFICATE_SUFFIX
