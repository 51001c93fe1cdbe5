"""Verification of signatures with public keys."""

from __future__ import annotations

from collections.abc import Container

from paramiko import ECDSAKey, Ed25519Key, Message, PKey, RSAKey, SSHException

from trayconnect.ssh.auth.data_types import strings
from trayconnect.ssh.config.ssh_options import MIN_RSA_BITS
from trayconnect.ssh.hostkeys.known_hosts import HostKey

_CLASSES: dict[str, type[PKey]] = {
    "ssh-ed25519": Ed25519Key,
    "ecdsa-sha2-nistp256": ECDSAKey,
    "ecdsa-sha2-nistp384": ECDSAKey,
    "ecdsa-sha2-nistp521": ECDSAKey,
    "ssh-rsa": RSAKey,
}


def rsa_bits(key: HostKey) -> int | None:
    """The size of an RSA key, as `ssh-keygen -l` counts it; None for a key of another type."""
    if key.type != "ssh-rsa":
        return None
    try:
        _, _, modulus = strings(key.blob)
    except ValueError:
        return 0
    return int.from_bytes(modulus, "big").bit_length()


def algorithm_of(signature: bytes) -> str:
    """The algorithm that a signature names (RFC 4253 section 6.6); empty if it is malformed."""
    try:
        name, _ = strings(signature)
    except ValueError:
        return ""
    return name.decode("ascii", "replace")


def verifies(key: HostKey, data: bytes, signature: bytes, algorithms: Container[str]) -> bool:
    """Whether `signature` is a valid signature of `data` by `key`, with one of `algorithms`."""
    kind = _CLASSES.get(key.type)
    if kind is None or algorithm_of(signature) not in algorithms:
        return False
    try:
        public = kind(Message(key.blob))
        if isinstance(public, RSAKey) and public.get_bits() < MIN_RSA_BITS:
            return False
        return bool(public.verify_ssh_sig(data, Message(signature)))
    except (SSHException, ValueError, TypeError):
        # Malformed keys and signatures: each library under paramiko raises its own exception.
        return False
