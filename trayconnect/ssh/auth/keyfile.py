"""Private key files: the OpenSSH format, PEM (PKCS#1, SEC 1, PKCS#8), and PuTTY's."""

from __future__ import annotations

import base64
import binascii
import io
import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from paramiko import ECDSAKey, Ed25519Key, PKey, RSAKey, SSHException

from trayconnect.core.errors import shortage
from trayconnect.ssh.auth import key_kinds, login_problems, ppk
from trayconnect.ssh.auth.data_types import DataReader
from trayconnect.ssh.hostkeys.known_hosts import HostKey, decode_key

MAX_BYTES = 1 << 20
MAX_ROUNDS = 10_000
"""Limit for the rounds of bcrypt, about a minute; ssh-keygen uses 24. A file from elsewhere could
ask for years."""
_MAGIC = b"openssh-key-v1\0"


class PassphraseNeededError(Exception):
    """The key is encrypted."""


class WrongPassphraseError(Exception):
    """The passphrase does not decrypt the key."""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The content of a file that looks like a private key, not yet decrypted."""

    path: Path
    data: bytes = field(repr=False)
    public: HostKey | None
    """Its public half, if that is readable without the passphrase."""

    @property
    def is_on_device(self) -> bool:
        """Whether the file holds only the handle of a key in a security key (FIDO)."""
        return self.public is not None and self.public.type.startswith("sk-")

    def decrypt(self, passphrase: str | None = None) -> PKey:
        """The private key. Raises PassphraseNeededError, WrongPassphraseError, `ProblemError`."""
        if self.is_on_device:
            raise key_kinds.on_device(self.path)
        secret = passphrase.encode() if passphrase is not None else None
        is_ppk = self.data.lstrip().startswith(ppk.MAGIC)
        try:
            return _to_paramiko(self._load(secret, is_ppk=is_ppk))
        except TypeError as error:
            if secret is None:
                raise PassphraseNeededError from error
            # The file is not encrypted at all.
            return self.decrypt(None)
        except UnsupportedAlgorithm as error:
            explain = key_kinds.unsupported_ppk if is_ppk else key_kinds.unsupported
            raise explain(self.path, str(error)) from error
        except (ValueError, InvalidTag, SSHException) as error:
            if secret is not None:
                raise WrongPassphraseError from error
            raise key_kinds.damaged(self.path, str(error)) from error

    def _load(self, secret: bytes | None, *, is_ppk: bool) -> object:
        """As `cryptography`: raises TypeError if a passphrase is missing, or not needed."""
        if is_ppk:
            return _load_ppk(self.data, secret)
        if key_kinds.OPENSSH in self.data:
            return serialization.load_ssh_private_key(self.data, secret)
        return serialization.load_pem_private_key(self.data, secret)


def read_key_file(path: Path) -> KeyFile:
    """Read an identity file. Raises `ProblemError` unless it can be a usable one."""
    data = key_kinds.plain_text(_read(path))
    key_kinds.check(path, data)
    _check_mode(path)
    return key_in(path, data)


def key_in(path: Path, data: bytes) -> KeyFile:
    """The key in the content `data` of `path`. Raises `ProblemError` for an unreadable PuTTY key,
    and for a key that would take too long to decrypt."""
    return KeyFile(path, data, _public_within(path, data) or public_beside(path))


def public_beside(path: Path) -> HostKey | None:
    """The public key in the `.pub` file beside `path`, or in `path` itself if it is a public
    key."""
    for place in (path, Path(f"{path}.pub")):
        line = key_kinds.public_part(place)
        if line is not None:
            try:
                kind, text = line.split()[:2]
                return decode_key(kind.decode("ascii"), text)
            except ValueError:
                continue
    return None


# --- the content of the file -------------------------------------------------------------------


def _read(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise login_problems.key_file(
                str(path), "is a folder", "Name the file of the private key."
            )
        if not path.exists():
            advice = "Correct identity_file in servers.yaml, or make a key with ssh-keygen."
            raise login_problems.key_file(str(path), "does not exist", advice)
        if not path.is_file():
            raise login_problems.key_file(
                str(path), "is not a file", "Name the file of a private key."
            )
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError as error:
        if shortage(error):
            raise
        advice = f"Make it readable for you: check its owner, then chmod 600 {path}"
        raise login_problems.key_file(str(path), "cannot be read", advice, str(error)) from error


def _check_mode(path: Path) -> None:
    # As OpenSSH: a private key that others can read is refused (POSIX only).
    if sys.platform != "win32":
        found = path.stat()
        if found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) & 0o077:
            advice = f"Make it readable for you alone: chmod 600 {path}"
            raise login_problems.key_file(str(path), "can be read by other users", advice)


def _public_within(path: Path, data: bytes) -> HostKey | None:
    """The public key in an OpenSSH (PROTOCOL.key) or PuTTY file, where it is not encrypted."""
    if data.lstrip().startswith(ppk.MAGIC):
        try:
            parsed = ppk.parse(data)
        except ValueError as error:
            raise key_kinds.damaged(path, str(error)) from error
        except UnsupportedAlgorithm as error:
            raise key_kinds.unsupported_ppk(path, str(error)) from error
        return HostKey(parsed.kind, parsed.public)
    begin, _, rest = data.partition(b"-----BEGIN OPENSSH PRIVATE KEY-----")
    try:
        blob = base64.b64decode(b"".join(rest.partition(b"-----END")[0].split()))
    except binascii.Error:
        return None
    if begin.strip() or not blob.startswith(_MAGIC):
        return None
    reader = DataReader(blob[len(_MAGIC) :])
    try:
        _cipher, derivation, options = (reader.string() for _ in range(3))
        reader.uint32()  # the number of keys, which is 1
        public = reader.string()
        kind = DataReader(public).string().decode("ascii", "replace")
        rounds = _rounds(options) if derivation == b"bcrypt" else 0
    except ValueError:
        return None
    if rounds > MAX_ROUNDS:
        raise key_kinds.costly(path, rounds)
    return HostKey(kind, public) if kind else None


def _rounds(options: bytes) -> int:
    reader = DataReader(options)
    reader.string()  # the salt
    return reader.uint32()


# --- from cryptography's keys to paramiko's ---------------------------------------------------


def _load_ppk(data: bytes, passphrase: bytes | None) -> object:
    parsed = ppk.parse(data)
    if parsed.encrypted != (passphrase is not None):
        raise TypeError("a passphrase is missing, or not needed")
    key = parsed.decrypt(passphrase or b"")
    if key is None:
        raise ValueError("the MAC is wrong")
    return key


def _to_paramiko(key: object) -> PKey:
    if isinstance(key, rsa.RSAPrivateKey):
        return RSAKey(key=key)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if not isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1):
            raise UnsupportedAlgorithm(key.curve.name)
        return ECDSAKey(vals=(key, key.public_key()))
    if isinstance(key, ed25519.Ed25519PrivateKey):
        text = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
        return Ed25519Key(file_obj=io.StringIO(text.decode("ascii")))
    raise UnsupportedAlgorithm(type(key).__name__)
