"""OpenSSH's user certificates (PROTOCOL.certkeys): what one says, and a key that shows it."""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from paramiko import Message

from trayconnect.tunnel.known_hosts import HostKey
from trayconnect.tunnel.userauth import SigningKey

_SUFFIX = "-cert-v01@openssh.com"
_USER = 1
_FOREVER = 2**64 - 1

# How many fields of the public key follow the nonce.
_KEY_FIELDS = {
    "ssh-rsa": 2,
    "ssh-ed25519": 1,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ssh-ed25519@openssh.com": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
}


def is_certificate(name: str) -> bool:
    """Whether `name`, of a type of key or of an algorithm, is one of a certificate."""
    return name.endswith(_SUFFIX)


def plain(name: str) -> str:
    """The same without the certificate; any other name stays as it is."""
    if not is_certificate(name):
        return name
    base = name.removesuffix(_SUFFIX)
    return f"{base}@openssh.com" if base.startswith("sk-") else base


def certified(name: str) -> str:
    """The name with a certificate, of a type of key or of an algorithm."""
    return name.removesuffix("@openssh.com") + _SUFFIX


@dataclass(frozen=True, slots=True)
class Certificate:
    """A user certificate. Times are seconds since the epoch."""

    public: HostKey
    """The certificate as it is offered to a server."""
    key: HostKey
    """The plain public key that it is for."""
    principals: tuple[str, ...]
    """The user names that it is for; empty: any."""
    valid_after: int
    valid_before: int

    def fault(self, now: float | None = None) -> str | None:
        """Why no server would take it at the time `now` (default: the present), in words that
        follow its name; None: nothing is wrong."""
        moment = time.time() if now is None else now
        if moment >= self.valid_before:
            return f"expired on {_date(self.valid_before)}"
        if moment < self.valid_after:
            return f"is not valid before {_date(self.valid_after)}"
        return None


def parse(public: HostKey) -> Certificate | None:
    """The user certificate in the bytes of a public key; None if that is something else."""
    fields = _KEY_FIELDS.get(plain(public.type))
    if fields is None or not is_certificate(public.type):
        return None
    message = Message(public.blob)
    if message.get_binary() != public.type.encode():
        return None
    message.get_binary()  # the nonce
    key = Message()
    key.add_string(plain(public.type))
    for _ in range(fields):
        key.add_string(message.get_binary())
    message.get_int64()  # the serial number
    role = message.get_int()
    message.get_binary()  # the key id
    names = Message(message.get_binary())
    principals = []
    while name := names.get_binary():
        principals.append(name.decode("utf-8", "replace"))
    valid_after, valid_before = message.get_int64(), message.get_int64()
    if role != _USER or not message.get_remainder():
        return None
    plain_key = HostKey(plain(public.type), key.asbytes())
    return Certificate(public, plain_key, tuple(principals), valid_after, valid_before)


def read(path: Path) -> Certificate | None:
    """The user certificate in a file as ssh-keygen writes it; None if there is none."""
    try:
        kind, text = path.read_bytes()[:_MAX_BYTES].split(maxsplit=2)[:2]
        return parse(HostKey(kind.decode("ascii"), base64.b64decode(text)))
    except (OSError, ValueError, binascii.Error):
        return None


_MAX_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class CertifiedKey:
    """A private key that shows a certificate in place of its public half."""

    certificate: HostKey
    key: SigningKey = field(repr=False)

    def get_name(self) -> str:
        return self.certificate.type

    def asbytes(self) -> bytes:
        return self.certificate.blob

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> Message | bytes:
        """A signature by the key, which does not tell of the certificate."""
        return self.key.sign_ssh_data(data, plain(algorithm) if algorithm else None)


def _date(moment: int) -> str:
    if moment >= _FOREVER:
        return "no day"
    try:
        return datetime.fromtimestamp(moment, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    except (OverflowError, OSError, ValueError):
        return "a day beyond every calendar"
