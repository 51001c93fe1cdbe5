"""User certificates: reads one from a file, and presents it with a key."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from paramiko import Message

from trayconnect.config.algorithms import plain
from trayconnect.core.errors import shortage
from trayconnect.ssh.auth.certificate import FOREVER, USER, Certificate, parse
from trayconnect.ssh.auth.userauth import SigningKey
from trayconnect.ssh.hostkeys.known_hosts import HostKey

_MAX_BYTES = 1 << 18


def of(blob: bytes) -> Certificate | None:
    """The user certificate in the bytes of a public key; None if they are something else."""
    try:
        found = parse(blob)
    except ValueError:
        return None
    return found if found.kind == USER else None


def read(path: Path) -> Certificate | None:
    """The user certificate in a file as ssh-keygen writes it; None if there is none."""
    try:
        if not path.is_file():  # a pipe at that path could block without end
            return None
        with path.open("rb") as file:
            kind, text = file.read(_MAX_BYTES).split(maxsplit=2)[:2]
        found = of(base64.b64decode(text))
    except (OSError, ValueError) as error:
        if shortage(error):
            raise
        return None
    return found if found is not None and found.public.type.encode() == kind else None


def fault(certificate: Certificate, now: float | None = None) -> str | None:
    """Why no server would accept it at the time `now` (default: the present), in words that follow
    its name; None if it is valid."""
    moment = time.time() if now is None else now
    if moment >= certificate.valid_before:
        return f"expired on {_date(certificate.valid_before)}"
    if moment < certificate.valid_after:
        return f"is not valid before {_date(certificate.valid_after)}"
    return None


@dataclass(frozen=True, slots=True)
class CertifiedKey:
    """A private key that presents a certificate instead of its public half."""

    certificate: HostKey
    key: SigningKey = field(repr=False)

    def get_name(self) -> str:
        return self.certificate.type

    def asbytes(self) -> bytes:
        return self.certificate.blob

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> Message | bytes:
        """A signature by the key. The signature does not contain the certificate."""
        return self.key.sign_ssh_data(data, plain(algorithm) if algorithm else None)


def _date(moment: int) -> str:
    if moment >= FOREVER:
        return "no day"
    try:
        return datetime.fromtimestamp(moment, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    except (OverflowError, OSError, ValueError):
        return "a day beyond every calendar"
