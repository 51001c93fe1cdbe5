"""PuTTY's private key files, versions 2 and 3 (the PuTTY manual, appendix C)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf import argon2
from paramiko import Message

MAGIC = b"PuTTY-User-Key-File-"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_HEADER = re.compile(rb"([A-Za-z0-9-]+): ?(.*)")
_NO_CIPHER, _CIPHER = b"none", b"aes256-cbc"
_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "ecdsa-sha2-nistp256": ec.SECP256R1,
    "ecdsa-sha2-nistp384": ec.SECP384R1,
    "ecdsa-sha2-nistp521": ec.SECP521R1,
}
_MAX_ARGON_KIB = 1 << 20
_MAX_ARGON_WORK = 1 << 24
"""KiB times passes; a few seconds of CPU time. A file from elsewhere could ask for hours."""


@dataclass(frozen=True, slots=True)
class Ppk:
    """A parsed file, not yet decrypted."""

    version: int
    kind: str
    """The key type's name in SSH, such as `ssh-ed25519`."""
    public: bytes
    """The public key, as in RFC 4253 section 6.6."""
    headers: dict[bytes, bytes] = field(repr=False)
    private: bytes = field(repr=False)

    @property
    def encrypted(self) -> bool:
        """Whether a passphrase is needed."""
        return self.headers[b"Encryption"] != _NO_CIPHER

    def decrypt(self, passphrase: bytes = b"") -> PrivateKey | None:
        """The private key; None if the passphrase is wrong (or the file was changed).

        Raises ValueError for a damaged file, UnsupportedAlgorithm for an unknown key type or key
        derivation."""
        cipher_key, iv, mac_key = self._derive(passphrase)
        private = self.private
        if self.encrypted:
            decryptor = Cipher(algorithms.AES256(cipher_key), modes.CBC(iv)).decryptor()
            private = decryptor.update(private) + decryptor.finalize()
        signed = Message()
        headers = self.headers
        for part in (self.kind.encode(), headers[b"Encryption"], headers[b"Comment"]):
            signed.add_string(part)
        signed.add_string(self.public)
        signed.add_string(private)
        digest = hashlib.sha256 if self.version == 3 else hashlib.sha1
        mac = hmac.new(mac_key, signed.asbytes(), digest).hexdigest().encode()
        if not hmac.compare_digest(mac, headers[b"Private-MAC"].lower()):
            return None
        return _key(self.kind, Message(self.public), Message(private))

    def _derive(self, passphrase: bytes) -> tuple[bytes, bytes, bytes]:
        """The cipher's key and initial vector, and the MAC's key."""
        if self.version == 2:
            stream = b"".join(_sha1(bytes([0, 0, 0, n]) + passphrase) for n in (0, 1))
            secret = passphrase if self.encrypted else b""
            return stream[:32], bytes(16), _sha1(b"putty-private-key-file-mac-key" + secret)
        if not self.encrypted:
            return b"", b"", b""
        output = _argon2(self.headers, passphrase)
        return output[:32], output[32:48], output[48:]


def parse(data: bytes) -> Ppk:
    """Parse a file. Raises ValueError for a damaged one, UnsupportedAlgorithm for an unknown
    version or cipher."""
    headers: dict[bytes, bytes] = {}
    blobs: dict[bytes, bytes] = {}
    lines = iter(data.splitlines())
    for line in lines:
        match = _HEADER.fullmatch(line.rstrip())
        if match is None:
            if line.strip():
                raise ValueError("a line that is no header")
            continue
        name, value = match[1], match[2]
        headers[name] = value
        if name in (b"Public-Lines", b"Private-Lines"):
            count = int(value[:5])
            blobs[name] = base64.b64decode(b"".join(next(lines, b"") for _ in range(count)))
    first = next(iter(headers), b"")
    if first not in (MAGIC + b"2", MAGIC + b"3"):
        raise UnsupportedAlgorithm(
            f"version {first.removeprefix(MAGIC).decode('ascii', 'replace')}"
        )
    missing = {b"Encryption", b"Comment", b"Public-Lines", b"Private-Lines", b"Private-MAC"} - set(
        headers
    )
    if missing:
        raise ValueError(f"no {min(missing).decode()}")
    if headers[b"Encryption"] not in (_NO_CIPHER, _CIPHER):
        raise UnsupportedAlgorithm(f"cipher {headers[b'Encryption'].decode('ascii', 'replace')}")
    version = int(first[-1:])
    kind = headers[first].decode("ascii", "replace")
    return Ppk(version, kind, blobs[b"Public-Lines"], headers, blobs[b"Private-Lines"])


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def _argon2(headers: dict[bytes, bytes], passphrase: bytes) -> bytes:
    flavour = headers.get(b"Key-Derivation", b"").decode("ascii", "replace")
    # Before version 47, `cryptography` has only one of the three Argon2 variants.
    derivation = getattr(argon2, flavour, None) if flavour.startswith("Argon2") else None
    if derivation is None:
        raise UnsupportedAlgorithm(f"key derivation {flavour}")
    try:
        memory, passes, lanes = (
            int(headers[b"Argon2-" + name]) for name in (b"Memory", b"Passes", b"Parallelism")
        )
        salt = bytes.fromhex(headers[b"Argon2-Salt"].decode("ascii"))
    except KeyError as error:
        raise ValueError(f"no {error}") from error
    if memory > _MAX_ARGON_KIB or memory * passes > _MAX_ARGON_WORK:
        raise UnsupportedAlgorithm(f"{flavour} with {memory} KiB and {passes} passes")
    kdf = derivation(salt=salt, length=80, iterations=passes, lanes=lanes, memory_cost=memory)
    output: bytes = kdf.derive(passphrase)
    return output


def _key(kind: str, public: Message, private: Message) -> PrivateKey:
    public.get_binary()
    if kind == "ssh-rsa":
        e, n = public.get_mpint(), public.get_mpint()
        d, p, q, iqmp = (private.get_mpint() for _ in range(4))
        numbers = rsa.RSAPublicNumbers(e, n)
        return rsa.RSAPrivateNumbers(
            p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), iqmp, numbers
        ).private_key()
    if kind == "ssh-ed25519":
        return ed25519.Ed25519PrivateKey.from_private_bytes(private.get_binary())
    if kind in _CURVES:
        return ec.derive_private_key(private.get_mpint(), _CURVES[kind]())
    raise UnsupportedAlgorithm(kind)
