"""Identifies a file that was named as a private key and is none, and advises what to do."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from trayconnect.core.errors import ProblemError, shortage
from trayconnect.ssh.auth import login_problems
from trayconnect.ssh.auth.ppk import MAGIC as PPK_MAGIC

OPENSSH = b"BEGIN OPENSSH PRIVATE KEY"

_PUBLIC = re.compile(
    rb"(ssh|ecdsa|sk)-[a-z0-9@.-]+ +AAAA|---- BEGIN SSH2 PUBLIC|-----BEGIN [A-Z ]*PUBLIC"
)
_CERTIFICATE = re.compile(rb"[a-z0-9-]+-cert-v01@openssh\.com ")
_KNOWN_HOSTS = re.compile(
    rb"(\|1\||@cert-authority |@revoked |[^\s]+ (ssh|ecdsa|sk)-[a-z0-9@.-]+ +AAAA)"
)
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def plain_text(data: bytes) -> bytes:
    """The content without a byte order mark and carriage returns, which editors and Windows add."""
    return data.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n")


def check(path: Path, data: bytes) -> None:
    """Raise `ProblemError` for a content that is no private key; PuTTY's format counts as one."""
    found = _identify(path, data.lstrip())
    if found is not None:
        raise login_problems.key_file(str(path), *found)


def public_part(path: Path) -> bytes | None:
    """The line of the public key (or certificate) in the file at `path`, if it holds one."""
    try:
        line = path.read_bytes()[: 1 << 18].strip() if path.is_file() else b""
    except OSError as error:
        if shortage(error):
            raise
        return None
    return line if _PUBLIC.match(line) else None


def damaged(path: Path, detail: str) -> ProblemError:
    advice = "It is cut short or changed; copy it again from where it is whole."
    return login_problems.key_file(str(path), "is damaged", advice, detail)


def unsupported(path: Path, detail: str) -> ProblemError:
    """`detail` is `cryptography`'s message."""
    if "cipher" in detail:
        advice = f"Encrypt it again: ssh-keygen -p -Z aes256-ctr -f {path}"
        return login_problems.key_file(
            str(path), "is encrypted in a way that cannot be read", advice, detail
        )
    advice = "Use an ed25519, ecdsa or rsa key: ssh-keygen -t ed25519 makes one."
    if "DSA" in detail or "dss" in detail:
        advice = f"It is a DSA key, which servers no longer accept. {advice}"
    return login_problems.key_file(str(path), "is of a kind that cannot be used", advice, detail)


def costly(path: Path, rounds: int) -> ProblemError:
    """The passphrase of the key needs that many rounds of bcrypt."""
    advice = f"It asks for {rounds} rounds. Encrypt it again: ssh-keygen -p -a 100 -f {path}"
    return login_problems.key_file(str(path), "takes too long to decrypt", advice)


def unsupported_ppk(path: Path, detail: str) -> ProblemError:
    advice = (
        "Convert it: in PuTTYgen, Conversions, Export OpenSSH key; or with "
        f"puttygen {path} -O private-openssh -o {path.with_suffix('')}"
    )
    return login_problems.key_file(
        str(path), f"is in a form of PuTTY's format that cannot be read ({detail})", advice
    )


def on_device(path: Path) -> ProblemError:
    """The key file of a security key: it holds a handle of the device, and no key."""
    advice = (
        f"The ssh-agent must use the device for it: start one, and add the key with ssh-add {path}"
    )
    return login_problems.key_file(
        str(path), "belongs to a security key that no ssh-agent holds", advice
    )


def _identify(path: Path, text: bytes) -> tuple[str, str] | None:
    """What the file is instead, and the advice; None for a private key."""
    if not text:
        return "is empty", "Copy the private key again."
    if text.startswith(PPK_MAGIC):
        return None
    return _public(path, text) or _foreign(path, text)


def _public(path: Path, text: bytes) -> tuple[str, str] | None:
    private = path.with_suffix("") if path.suffix == ".pub" else None
    if _CERTIFICATE.match(text):
        name = str(private).removesuffix("-cert") if private else ""
        named = f" ({name})" if name else ""
        return (
            "is a certificate",
            f"Name the private key{named}: its certificate is found beside it.",
        )
    if _PUBLIC.match(text):
        if private is not None and private.exists():
            return "is a public key", f"Name the private key: {private}"
        advice = (
            "Name the private key: usually the same path without .pub. (A public key does where "
            "the ssh-agent holds the private one.)"
        )
        return "is a public key", advice
    if _KNOWN_HOSTS.match(text):
        advice = "Name a private key, such as ~/.ssh/id_ed25519."
        return "is a list of public keys, such as known_hosts", advice
    return None


def _foreign(path: Path, text: bytes) -> tuple[str, str] | None:
    head = text[:200].lower()
    if text.startswith(_UTF_16):
        return "is saved as UTF-16", "Save it as plain text (UTF-8, or ANSI)."
    if head.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "is a web page", "Download the file itself, not the page that shows it."
    if b"BEGIN PGP" in text[:200]:
        return "is a PGP key", "Let gpg-agent serve it: enable-ssh-support in gpg-agent.conf."
    if b"BEGIN CERTIFICATE" in text[:200]:
        return "is a certificate of TLS", "Name a private key as ssh-keygen makes it."
    if text.startswith((b"---- BEGIN SSH2 ENCRYPTED", b"SSH PRIVATE KEY FILE FORMAT 1")):
        return "is in a format of old SSH programs", "Make a new key: ssh-keygen -t ed25519"
    if text.startswith(b"\x30") and not text.isascii():
        advice = f"Convert it: openssl pkey -inform DER -in {path} -out {path}.pem"
        return "is in a binary format", advice
    if b"PRIVATE KEY-----" not in text:
        return "is not a private key", "Name a private key as ssh-keygen makes it."
    if b"-----END " not in text:
        raise damaged(path, "no END line")
    return None
