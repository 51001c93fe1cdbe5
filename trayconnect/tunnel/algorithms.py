"""Which algorithms are agreed to, best first, and what a server lacks that has none of them.

Listed are those to allow rather than those to forbid, so that nothing a new paramiko adds comes
in unjudged. Left out of what paramiko knows: CBC modes and 3DES, MACs of MD5 and SHA-1, signatures
with SHA-1, and (not in paramiko any more) group1, SHA-1 key exchange, DSA, arcfour.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

KEX = (
    "mlkem768x25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group14-sha256",
)

# AES-GCM first: one pass in C does what CTR needs a MAC written in Python for.
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
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

_RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256")


def signatures(key_type: str) -> tuple[str, ...]:
    """The signature algorithms of a key type, best first (RFC 8332 for RSA)."""
    return _RSA_SIGNATURES if key_type == "ssh-rsa" else (key_type,)


def host_key_order(known_types: Iterable[str]) -> tuple[str, ...]:
    """The host key algorithms to ask for, those of types already known for the host first.

    A server with several keys then shows the known one, and no false alarm is raised."""
    known = {algorithm for kind in known_types for algorithm in signatures(kind)}
    first = tuple(name for name in HOST_KEYS if name in known)
    return first + tuple(name for name in HOST_KEYS if name not in known)


def signature_for(key_type: str, accepted: Sequence[str]) -> str | None:
    """How to sign with a key of `key_type` for a server that accepts the algorithms `accepted`
    (its `server-sig-algs`, RFC 8308; empty: it did not say). None: it takes no such key."""
    candidates = signatures(key_type)
    if not accepted:
        return candidates[0]
    return next((name for name in candidates if name in accepted), None)


_NEEDS = (
    ("key exchange", "kex_algo_list", KEX),
    ("host key", "server_key_algo_list", HOST_KEYS),
    ("cipher", "client_encrypt_algo_list", CIPHERS),
    ("cipher", "server_encrypt_algo_list", CIPHERS),
    ("MAC", "client_mac_algo_list", MACS),
    ("MAC", "server_mac_algo_list", MACS),
)


def missing(offer: Mapping[str, object]) -> list[str]:
    """What stands between us and a server, as phrases for people.

    `offer` is its SSH_MSG_KEXINIT (RFC 4253 section 7.1) as paramiko parses it."""
    found: dict[str, str] = {}
    for kind, field, ours in _NEEDS:
        value = offer.get(field)
        theirs = [str(name) for name in value] if isinstance(value, list) else []
        if not set(theirs) & set(ours):
            names = [name for name in theirs if not name.startswith(("ext-info-", "kex-strict-"))]
            found.setdefault(kind, f"{kind}: it offers only {', '.join(names) or 'nothing'}")
    return list(found.values())
