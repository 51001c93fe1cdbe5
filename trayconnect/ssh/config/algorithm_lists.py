"""Lists of algorithms with `+`, `-` and `^` before them, as kex_assemble_names() of kex.c.

What OpenSSH's client offers by itself, and all that it knows, is that of OpenSSH 10.2: ours to know
only where there is no `ssh` to ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trayconnect.config.algorithms import certified
from trayconnect.ssh.config.patterns import matches_list

_KEYS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
_CERTIFICATES = tuple(map(certified, _KEYS))


@dataclass(frozen=True, slots=True)
class SupportedAlgorithms:
    """`usual` are offered by themselves, best first; `all` can be asked for."""

    usual: tuple[str, ...]
    all: tuple[str, ...]


def _known(usual: tuple[str, ...], *others: str) -> SupportedAlgorithms:
    return SupportedAlgorithms(usual, (*usual, *others))


_HOST_KEYS = _known((*_CERTIFICATES, *_KEYS), "ssh-rsa", certified("ssh-rsa"))

KNOWN: Mapping[str, SupportedAlgorithms] = {
    "kexalgorithms": _known(
        (
            "mlkem768x25519-sha256",
            "sntrup761x25519-sha512",
            "sntrup761x25519-sha512@openssh.com",
            "curve25519-sha256",
            "curve25519-sha256@libssh.org",
            "ecdh-sha2-nistp256",
            "ecdh-sha2-nistp384",
            "ecdh-sha2-nistp521",
            "diffie-hellman-group-exchange-sha256",
            "diffie-hellman-group16-sha512",
            "diffie-hellman-group18-sha512",
            "diffie-hellman-group14-sha256",
        ),
        "diffie-hellman-group-exchange-sha1",
        "diffie-hellman-group14-sha1",
        "diffie-hellman-group1-sha1",
    ),
    "ciphers": _known(
        (
            "chacha20-poly1305@openssh.com",
            "aes128-gcm@openssh.com",
            "aes256-gcm@openssh.com",
            "aes128-ctr",
            "aes192-ctr",
            "aes256-ctr",
        ),
        "aes128-cbc",
        "aes192-cbc",
        "aes256-cbc",
        "3des-cbc",
    ),
    "macs": _known(
        (
            "umac-64-etm@openssh.com",
            "umac-128-etm@openssh.com",
            "hmac-sha2-256-etm@openssh.com",
            "hmac-sha2-512-etm@openssh.com",
            "hmac-sha1-etm@openssh.com",
            "umac-64@openssh.com",
            "umac-128@openssh.com",
            "hmac-sha2-256",
            "hmac-sha2-512",
            "hmac-sha1",
        ),
        "hmac-md5",
        "hmac-md5-etm@openssh.com",
        "hmac-md5-96",
        "hmac-md5-96-etm@openssh.com",
        "hmac-sha1-96",
        "hmac-sha1-96-etm@openssh.com",
    ),
    "hostkeyalgorithms": _HOST_KEYS,
    "pubkeyacceptedalgorithms": _HOST_KEYS,
    "casignaturealgorithms": _known(
        tuple(key for key in _KEYS if not key.startswith("webauthn-")),
        "ssh-rsa",
        "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
    ),
}


def assemble(text: str, known: SupportedAlgorithms) -> tuple[str, ...]:
    """The names that a value means; empty where it means just the usual ones.

    Raises ValueError where it leaves nothing."""
    if text.startswith("-"):
        names = tuple(name for name in known.usual if not matches_list(name, text[1:]))
    else:
        names = tuple(dict.fromkeys(_asked(text, known)))
    if not names:
        raise ValueError("leaves no algorithm")
    return () if names == known.usual else names


def _asked(text: str, known: SupportedAlgorithms) -> list[str]:
    names = [name for name in text.lstrip("+^").split(",") if name]
    if text.startswith("+"):
        names = [*known.usual, *names]
    elif text.startswith("^"):
        names = [*names, *known.usual]
    # A name that is not known stays: another OpenSSH may know it.
    return [
        found
        for name in names
        for found in ([one for one in known.all if matches_list(one, name)] or [name])
    ]
