"""Private keys in files: the OpenSSH format, and PEM (PKCS#1, SEC 1, PKCS#8)."""

from __future__ import annotations

import base64
import binascii
import io
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from paramiko import ECDSAKey, Ed25519Key, PKey, RSAKey, SSHException

from trayconnect.errors import ProblemError
from trayconnect.tunnel import problems
from trayconnect.tunnel.known_hosts import HostKey, decode_key

MAX_BYTES = 1 << 20
_MAGIC = b"openssh-key-v1\0"


class PassphraseNeededError(Exception):
    """The key is encrypted."""


class WrongPassphraseError(Exception):
    """The passphrase does not open the key."""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The content of a file that looks like a private key, not yet decrypted."""

    path: Path
    data: bytes
    public: HostKey | None
    """Its public half, where that is readable without the passphrase."""

    def decrypt(self, passphrase: str | None = None) -> PKey:
        """The private key. Raises PassphraseNeededError, WrongPassphraseError, `ProblemError`."""
        secret = passphrase.encode() if passphrase is not None else None
        is_openssh = b"BEGIN OPENSSH PRIVATE KEY" in self.data
        load = serialization.load_ssh_private_key if is_openssh else _load_pem
        try:
            return _to_paramiko(load(self.data, secret))
        except TypeError as error:
            if secret is None:
                raise PassphraseNeededError from error
            # It is not encrypted at all.
            return self.decrypt(None)
        except UnsupportedAlgorithm as error:
            raise _unsupported(self.path, str(error)) from error
        except (ValueError, SSHException) as error:
            if secret is not None:
                raise WrongPassphraseError from error
            raise _damaged(self.path, str(error)) from error


def read_key_file(path: Path) -> KeyFile:
    """Read an identity file. Raises `ProblemError` for whatever cannot be a usable one."""
    data = _read(path)
    _check_kind(path, data)
    _check_mode(path)
    return KeyFile(path, data, _public_beside(path) or _public_within(data))


# --- what is in the file ------------------------------------------------------------------------


def _read(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise problems.key_file(str(path), "is a folder", "Name the file of the private key.")
        if not path.exists():
            advice = "Correct identity_file in servers.yaml, or make a key with ssh-keygen."
            raise problems.key_file(str(path), "does not exist", advice)
        if not path.is_file():
            raise problems.key_file(str(path), "is not a file", "Name the file of a private key.")
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError as error:
        advice = f"Make it readable for you alone: chmod 600 {path}"
        raise problems.key_file(str(path), "cannot be read", advice, str(error)) from error


def _check_kind(path: Path, data: bytes) -> None:
    text = data.lstrip()
    if not text:
        raise problems.key_file(str(path), "is empty", "Copy the private key again.")
    if text.startswith(b"PuTTY-User-Key-File"):
        advice = (
            "Convert the key: in PuTTYgen, Conversions, Export OpenSSH key; or with "
            f"puttygen {path} -O private-openssh -o NEWFILE"
        )
        raise problems.key_file(str(path), "is in PuTTY's format", advice)
    if text.startswith((b"ssh-", b"ecdsa-", b"sk-", b"---- BEGIN SSH2 PUBLIC", b"-----BEGIN PUBL")):
        advice = "Name the private key: usually the same path without .pub."
        raise problems.key_file(str(path), "is a public key", advice)
    if b"BEGIN DSA PRIVATE KEY" in text:
        raise _unsupported(path, "DSA")
    if b"PRIVATE KEY-----" not in text:
        advice = "Name a private key as ssh-keygen makes it."
        raise problems.key_file(str(path), "is not a private key", advice)
    if b"-----END " not in text:
        raise _damaged(path, "no END line")


def _check_mode(path: Path) -> None:
    # As OpenSSH: a key of ours that others can read is not used (POSIX only).
    if sys.platform != "win32":
        found = path.stat()
        if found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) & 0o077:
            advice = f"Make it readable for you alone: chmod 600 {path}"
            raise problems.key_file(str(path), "can be read by other users", advice)


def _damaged(path: Path, detail: str) -> ProblemError:
    advice = "It is cut short or changed; copy it again from where it is whole."
    return problems.key_file(str(path), "is damaged", advice, detail)


def _unsupported(path: Path, detail: str) -> ProblemError:
    advice = (
        "Use an ed25519, ecdsa or rsa key (ssh-keygen -t ed25519); a key on a security device "
        "works through ssh-agent."
    )
    return problems.key_file(str(path), "is of a kind that cannot be used", advice, detail)


# --- its public half --------------------------------------------------------------------------


def _public_beside(path: Path) -> HostKey | None:
    public = Path(f"{path}.pub")
    try:
        fields = public.read_bytes().split() if public.is_file() else []
        return decode_key(fields[0].decode("ascii"), fields[1])
    except (OSError, ValueError, IndexError):
        return None


def _public_within(data: bytes) -> HostKey | None:
    """The public key in an OpenSSH file, which is not encrypted (OpenSSH's PROTOCOL.key)."""
    begin, _, rest = data.partition(b"-----BEGIN OPENSSH PRIVATE KEY-----")
    try:
        blob = base64.b64decode(b"".join(rest.partition(b"-----END")[0].split()))
    except binascii.Error:
        return None
    if begin.strip() or not blob.startswith(_MAGIC):
        return None
    offset = len(_MAGIC)
    for _ in ("cipher", "kdf", "kdf options"):
        offset += 4 + int.from_bytes(blob[offset : offset + 4], "big")
    offset += 4  # the number of keys, which is 1
    size = int.from_bytes(blob[offset : offset + 4], "big")
    public = blob[offset + 4 : offset + 4 + size]
    kind = public[4 : 4 + int.from_bytes(public[:4], "big")].decode("ascii", "replace")
    return HostKey(kind, public) if len(public) == size and kind else None


# --- from cryptography's keys to paramiko's ---------------------------------------------------


def _load_pem(data: bytes, passphrase: bytes | None) -> object:
    return serialization.load_pem_private_key(data, passphrase)


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
