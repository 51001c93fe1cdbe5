"""Host certificates: what a server shows of itself, and the flaws of a certificate."""

from __future__ import annotations

import enum
from collections.abc import Container
from dataclasses import dataclass

from trayconnect.config.algorithms import HOST_KEYS, is_certified
from trayconnect.ssh.auth.certificate import HOST, Certificate, parse, plain_key
from trayconnect.ssh.auth.signatures import algorithm_of, verifies
from trayconnect.ssh.hostkeys.known_hosts import HostKey
from trayconnect.ssh.transport.offered_algorithms import key_type


class Flaw(enum.Enum):
    """Why a certificate proves nothing; in the order in which it is looked at."""

    WEAK = "it is signed with an algorithm that is not safe, not known here, or not allowed"
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
    if is_certified(algorithm):
        certificate = parse(blob)
        if certificate.key.type != plain:
            raise ValueError(f"a certificate of a {certificate.key.type} key instead of {plain}")
        # Like OpenSSH, which ends the connection even where the plain key is known.
        if algorithm_of(certificate.signature) in HOST_KEYS and not _is_signed(certificate):
            raise ValueError("a certificate that its authority did not sign")
        return Shown(certificate.key, certificate)
    return Shown(plain_key(plain, blob))


def flaw(
    certificate: Certificate, name: str, now: float, algorithms: Container[str] = HOST_KEYS
) -> Flaw | None:
    """What is wrong with a certificate for the host `name` at the time `now`; None: nothing. It
    must be signed with one of `algorithms`, and one that is safe.

    Whether its authority is trusted is not asked here. Like OpenSSH: a certificate without names
    is for every host; a name is compared as it stands, so `*` is a name and no pattern, and upper
    case never fits, because `ssh` compares with the host name in lower case."""
    algorithm = algorithm_of(certificate.signature)
    if algorithm and not (algorithm in algorithms and algorithm in HOST_KEYS):
        return Flaw.WEAK
    if not _is_signed(certificate):
        return Flaw.UNSIGNED
    if certificate.kind != HOST:
        return Flaw.NOT_FOR_HOSTS
    if now < certificate.valid_after:
        return Flaw.NOT_YET
    if now >= certificate.valid_before:
        return Flaw.EXPIRED
    if certificate.principals and name.lower() not in certificate.principals:
        return Flaw.OTHER_NAME
    return Flaw.OPTIONS if certificate.critical_options else None


def _is_signed(certificate: Certificate) -> bool:
    return verifies(certificate.authority, certificate.signed, certificate.signature, HOST_KEYS)
