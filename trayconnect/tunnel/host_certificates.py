"""Certificates of host keys (OpenSSH's PROTOCOL.certkeys): reading them, and finding their flaws.

paramiko takes the key out of a certificate and looks at nothing else."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field

from trayconnect.config.ssh_algorithms import HOST_KEYS
from trayconnect.tunnel.algorithms import CERTIFICATE_SUFFIX, key_type
from trayconnect.tunnel.known_hosts import HostKey, like
from trayconnect.tunnel.signatures import algorithm_of, verifies
from trayconnect.tunnel.wire import Reader, string, strings

FOREVER = 2**64 - 1
"""The end of validity of a certificate without one."""
_HOST = 2

# How many strings make the public key, after the nonce.
_KEY_PARTS = {
    "ssh-ed25519": 1,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "ssh-rsa": 2,
}


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate authority says of a key. Times are seconds since 1970."""

    key: HostKey
    """The certified key, plain."""
    serial: int
    kind: int
    """1 for a user, 2 for a host."""
    key_id: str
    principals: tuple[str, ...]
    valid_after: int
    valid_before: int
    critical_options: tuple[str, ...]
    authority: HostKey
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)


class Flaw(enum.Enum):
    """Why a certificate proves nothing; in the order in which it is looked at."""

    WEAK = "it is signed with an algorithm that is not safe any more, or not known here"
    UNSIGNED = "its signature is not that of the authority it names"
    NOT_FOR_HOSTS = "it is for a user, not for a server"
    NOT_YET = "it is not valid yet"
    EXPIRED = "it has expired"
    OTHER_NAME = "it is for other names"
    OPTIONS = "it has critical options that are not known here"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a server showed of itself."""

    key: HostKey
    certificate: Certificate | None = None


def shown(algorithm: str, blob: bytes) -> Shown:
    """The host key, or certificate, that came for a negotiated host key algorithm.

    Raises ValueError if it is of another type, or damaged."""
    plain = key_type(algorithm)
    if algorithm.endswith(CERTIFICATE_SUFFIX):
        certificate = parse(blob)
        if certificate.key.type != plain:
            raise ValueError(f"a certificate of a {certificate.key.type} key instead of {plain}")
        return Shown(certificate.key, certificate)
    parts = strings(blob)
    if len(parts) != 1 + _KEY_PARTS.get(plain, 0) or parts[0] != plain.encode():
        raise ValueError(f"a host key that is not of the type {plain}")
    return Shown(HostKey(plain, blob))


def parse(blob: bytes) -> Certificate:
    """Raises ValueError for anything but a certificate of a known type, from end to end."""
    reader = Reader(blob)
    name = reader.string().decode("ascii", "replace")
    plain = name.removesuffix(CERTIFICATE_SUFFIX)
    if plain == name or plain not in _KEY_PARTS:
        raise ValueError(f"not a certificate: {name!r}")
    reader.string()  # the nonce
    parts = [plain.encode(), *(reader.string() for _ in range(_KEY_PARTS[plain]))]
    serial, kind, key_id = reader.uint64(), reader.uint32(), reader.string()
    principals = strings(reader.string())
    after, before = reader.uint64(), reader.uint64()
    options = strings(reader.string())
    if len(options) % 2:
        raise ValueError("critical options that are not pairs")
    reader.string()  # extensions: a host certificate has none that mean anything
    reader.string()  # reserved
    authority = reader.string()
    end = reader.offset
    signature = reader.string()
    if not reader.done:
        raise ValueError("something follows the certificate")
    return Certificate(
        key=HostKey(plain, b"".join(map(string, parts))),
        serial=serial,
        kind=kind,
        key_id=_text(key_id),
        principals=tuple(map(_text, principals)),
        valid_after=after,
        valid_before=before,
        critical_options=tuple(map(_text, options[::2])),
        authority=HostKey(_text(Reader(authority).string()), authority),
        signed=blob[:end],
        signature=signature,
    )


def flaw(certificate: Certificate, name: str, now: float) -> Flaw | None:
    """What is wrong with a certificate for the host `name` at the time `now`; None: nothing.

    Whether its authority is trusted is not asked here. Like OpenSSH: one without names is for
    every host, and a name may be a pattern with `*` and `?`."""
    algorithm = algorithm_of(certificate.signature)
    # As OpenSSH's CASignatureAlgorithms: no SHA-1.
    if algorithm and algorithm not in HOST_KEYS:
        return Flaw.WEAK
    if not verifies(certificate.authority, certificate.signed, certificate.signature, HOST_KEYS):
        return Flaw.UNSIGNED
    if certificate.kind != _HOST:
        return Flaw.NOT_FOR_HOSTS
    if now < certificate.valid_after:
        return Flaw.NOT_YET
    if now >= certificate.valid_before:
        return Flaw.EXPIRED
    if certificate.principals and not _names(certificate.principals, name):
        return Flaw.OTHER_NAME
    return Flaw.OPTIONS if certificate.critical_options else None


def _names(principals: tuple[str, ...], name: str) -> bool:
    wanted = name.lower().encode("utf-8", "surrogateescape")
    return any(like(wanted, p.encode("utf-8", "surrogateescape")) for p in principals)


def _text(value: bytes) -> str:
    """For people; what does not print would only mislead them."""
    return re.sub(r"[^ -~]", "\N{REPLACEMENT CHARACTER}", value.decode("utf-8", "replace"))
