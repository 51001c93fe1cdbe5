"""OpenSSH's user and host certificates (PROTOCOL.certkeys), and the keys in them.

paramiko extracts the key of a certificate and reads nothing else of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from trayconnect.config.algorithms import is_certified, plain
from trayconnect.ssh.auth.data_types import DataReader, string, strings
from trayconnect.ssh.hostkeys.known_hosts import HostKey

USER, HOST = 1, 2
FOREVER = 2**64 - 1
"""The end of validity of a certificate without an expiry time."""
MAX_PRINCIPALS = 256
"""The same limit as OpenSSH's."""

KEY_PARTS = {
    "ssh-ed25519": 1,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "ssh-rsa": 2,
    "sk-ssh-ed25519@openssh.com": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
"""Number of strings in the public key of a type, after its name (or the nonce)."""


_AUTHORITIES = frozenset((*KEY_PARTS, "ssh-dss"))


def plain_key(kind: str, blob: bytes) -> HostKey:
    """The public key of that type in `blob`, which it must fill exactly. Raises ValueError."""
    parts = strings(blob)
    if parts[:1] != [kind.encode()] or len(parts) != 1 + KEY_PARTS.get(kind, 0):
        raise ValueError(f"a key that is not of the type {kind}")
    return HostKey(kind, blob)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate authority's statement about a key. Times are seconds since 1970."""

    public: HostKey
    """The certificate as it is sent."""
    key: HostKey
    """The certified public key."""
    serial: int
    kind: int
    """`USER` or `HOST`."""
    key_id: str
    principals: tuple[str, ...]
    """The users or hosts that it is valid for; empty: any."""
    valid_after: int
    valid_before: int
    critical_options: tuple[str, ...]
    authority: HostKey
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def parse(blob: bytes) -> Certificate:
    """Raises ValueError unless `blob` is exactly one certificate of a known type."""
    reader = DataReader(blob)
    name = reader.string().decode("ascii", "replace")
    kind_of_key = plain(name)
    if not is_certified(name) or kind_of_key not in KEY_PARTS:
        raise ValueError(f"not a certificate: {name[:80]!r}")
    reader.string()  # the nonce
    parts = [kind_of_key.encode(), *(reader.string() for _ in range(KEY_PARTS[kind_of_key]))]
    serial, kind, key_id = reader.uint64(), reader.uint32(), reader.string()
    if kind not in (USER, HOST):
        raise ValueError(f"a certificate of the unknown kind {kind}")
    principals = strings(reader.string())
    if any(b"\0" in name[:-1] for name in (key_id, *principals)):
        raise ValueError("a name with a zero byte")  # OpenSSH would end it there
    if len(principals) > MAX_PRINCIPALS:
        raise ValueError(f"it is for more than {MAX_PRINCIPALS} names")
    after, before = reader.uint64(), reader.uint64()
    options = strings(reader.string())
    extensions = strings(reader.string())  # no option has a meaning for a client
    if len(options) % 2 or len(extensions) % 2:
        raise ValueError("options that are not pairs")
    reader.string()  # reserved
    authority = reader.string()
    if _text(DataReader(authority).string()) not in _AUTHORITIES:
        raise ValueError("it is signed by a key of a type that is not known")
    end = reader.offset
    signature = reader.string()
    if not reader.done:
        raise ValueError("something follows the certificate")
    return Certificate(
        public=HostKey(name, blob),
        key=HostKey(kind_of_key, b"".join(map(string, parts))),
        serial=serial,
        kind=kind,
        key_id=_text(key_id),
        principals=tuple(map(_text, principals)),
        valid_after=after,
        valid_before=before,
        critical_options=tuple(map(_text, options[::2])),
        authority=HostKey(_text(DataReader(authority).string()), authority),
        signed=blob[:end],
        signature=signature,
    )


def _text(value: bytes) -> str:
    """As text for people, and for comparisons. Unprintable characters are replaced: without them
    the rest could be another name."""
    return re.sub(r"[^ -~]", "\N{REPLACEMENT CHARACTER}", value.decode("utf-8", "replace"))
