"""Host certificates: what a server presents, and the flaws of a certificate."""

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
    """Why a certificate proves nothing, in the order of the checks."""

    WEAK = "its signature algorithm is unsafe, unsupported or not allowed"
    UNSIGNED = "the signature of its authority is invalid"
    NOT_FOR_HOSTS = "it is for a user, not for a server"
    NOT_YET = "it is not valid yet"
    EXPIRED = "it has expired"
    OTHER_NAME = "it is for other names"
    OPTIONS = "it has unknown critical options"


@dataclass(frozen=True, slots=True)
class PresentedKey:
    """The host key or certificate that a server presented."""

    key: HostKey
    certificate: Certificate | None = None


def parse_presented(algorithm: str, blob: bytes) -> PresentedKey:
    """Parse the host key or certificate that came for a negotiated host key algorithm.

    Raises ValueError if it is of another type, or damaged."""
    plain = key_type(algorithm)
    if is_certified(algorithm):
        certificate = parse(blob)
        if certificate.key.type != plain:
            raise ValueError(f"a certificate of a {certificate.key.type} key instead of {plain}")
        # Like OpenSSH, which ends the connection even if the plain key is known.
        if algorithm_of(certificate.signature) in HOST_KEYS and not _is_signed(certificate):
            raise ValueError("a certificate that its authority did not sign")
        return PresentedKey(certificate.key, certificate)
    return PresentedKey(plain_key(plain, blob))


def flaw(
    certificate: Certificate, name: str, now: float, algorithms: Container[str] = HOST_KEYS
) -> Flaw | None:
    """The flaw of a certificate for the host `name` at the time `now`; None if it is valid. Its
    signature must use one of `algorithms`, and a safe one.

    The caller decides whether the authority is trusted. Like OpenSSH: a certificate without names
    is valid for every host; a name is compared literally, so `*` is no pattern, and an upper-case
    name never matches, because `ssh` compares with the lower-case host name."""
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
