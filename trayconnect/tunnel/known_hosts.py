"""Reading, and adding to, known_hosts files (the format of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").

paramiko's reader gives up on a whole file for one odd line, and its writer drops comments. Here a
bad line costs that line, and a file is only ever appended to.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import hmac
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)

_MARKERS = ("@cert-authority", "@revoked")
_BLANKS = re.compile(rb"[ \t]+")
DEFAULT_PORT = 22


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public key: its type, and the bytes of RFC 4253 section 6.6."""

    type: str
    blob: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """As OpenSSH shows it: SHA256, base64 without padding."""
        digest = hashlib.sha256(self.blob).digest()
        return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")

    @property
    def line(self) -> str:
        """As OpenSSH writes it: the type, and base64."""
        return f"{self.type} {base64.b64encode(self.blob).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a file."""

    path: Path
    line: int
    marker: str
    hosts: bytes
    key: HostKey

    @property
    def place(self) -> str:
        return f"{self.path}, line {self.line}"


class Verdict(enum.Enum):
    MATCH = "match"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the files say of a host's key.

    `entries` are the lines that decide: those with another key of the same type when it changed,
    the line that revokes it, the line that matches; when it is unknown, those with keys of other
    types for the same host."""

    verdict: Verdict
    entries: tuple[Entry, ...] = ()


def host_name(host: str, port: int) -> str:
    """How a host is written in the files."""
    return host.lower() if port == DEFAULT_PORT else f"[{host.lower()}]:{port}"


def lookup(entries: Iterable[Entry], host: str, port: int, key: HostKey) -> Lookup:
    """Judge the key that a host showed, as OpenSSH does."""
    entries = tuple(entries)
    found = _judge(entries, host_name(host, port), key)
    if found.verdict is Verdict.UNKNOWN and port != DEFAULT_PORT:
        # Like OpenSSH: a key known for the name alone is good on any port, but a different one
        # there says nothing about this port.
        plain = _judge(entries, host_name(host, DEFAULT_PORT), key)
        if plain.verdict in (Verdict.MATCH, Verdict.REVOKED):
            return plain
    return found


def known_types(entries: Iterable[Entry], host: str, port: int) -> tuple[str, ...]:
    """The key types that are on file for a host."""
    name = host_name(host, port)
    kinds = (entry.key.type for entry in entries if not entry.marker and matches(entry.hosts, name))
    return tuple(dict.fromkeys(kinds))


def _judge(entries: Iterable[Entry], name: str, key: HostKey) -> Lookup:
    match: Entry | None = None
    same_type: list[Entry] = []
    other_types: list[Entry] = []
    for entry in entries:
        if not matches(entry.hosts, name):
            continue
        if entry.marker == "@revoked":
            if entry.key == key:
                return Lookup(Verdict.REVOKED, (entry,))
        elif entry.marker:
            continue
        elif entry.key == key:
            match = match or entry
        elif entry.key.type == key.type:
            same_type.append(entry)
        else:
            other_types.append(entry)
    if match:
        return Lookup(Verdict.MATCH, (match,))
    if same_type:
        return Lookup(Verdict.CHANGED, tuple(same_type))
    return Lookup(Verdict.UNKNOWN, tuple(other_types))


# --- the host patterns ------------------------------------------------------------------------


def matches(hosts: bytes, name: str) -> bool:
    """Whether the first field of a line covers `name`: hashed, or patterns with `*`, `?`, `!`."""
    wanted = name.lower().encode("utf-8", "surrogateescape")
    if hosts.startswith(b"|"):
        return _matches_hashed(hosts, wanted)
    found = False
    for pattern in hosts.lower().split(b","):
        if pattern.startswith(b"!"):
            if _pattern(pattern[1:]).fullmatch(wanted):
                return False
        elif _pattern(pattern).fullmatch(wanted):
            found = True
    return found


def _pattern(pattern: bytes) -> re.Pattern[bytes]:
    # Runs of * are one *: several in a row would make the match exponential.
    parts = re.split(rb"(\*+|\?)", pattern)
    wild = {b"*": b".*", b"?": b"."}
    return re.compile(b"".join(wild.get(p[:1]) or re.escape(p) for p in parts), re.DOTALL)


def _matches_hashed(hosts: bytes, wanted: bytes) -> bool:
    # |1|base64 of the salt|base64 of HMAC-SHA1(salt, name)
    parts = hosts.split(b"|")
    if len(parts) != 4 or parts[1] != b"1":
        return False
    try:
        salt, stored = (base64.b64decode(part, validate=True) for part in parts[2:])
    except (binascii.Error, ValueError):
        return False
    digest = hmac.new(salt, wanted, hashlib.sha1).digest()
    return hmac.compare_digest(digest, stored)


# --- the files --------------------------------------------------------------------------------


def read_files(paths: Sequence[Path]) -> tuple[Entry, ...]:
    """Every usable line of the files, in order; a file that is not there is empty."""
    return tuple(entry for path in paths for entry in read_file(path))


def read_file(path: Path) -> tuple[Entry, ...]:
    """See `read_files`."""
    try:
        # A pipe or a device in its place could block for ever.
        data = path.read_bytes() if path.is_file() else b""
    except OSError as error:
        log.warning("cannot read %s: %s", path, error.strerror)
        return ()
    return tuple(parse(data, path))


def parse(data: bytes, path: Path) -> Iterable[Entry]:
    """The usable lines of a file's content; a bad one is skipped with a warning."""
    for number, line in enumerate(data.split(b"\n"), start=1):
        text = line.strip(b" \t\r")
        if not text or text.startswith(b"#"):
            continue
        try:
            yield _parse_line(text, path, number)
        except ValueError as error:
            log.warning("%s, line %d: skipped: %s", path, number, error)


def _parse_line(text: bytes, path: Path, number: int) -> Entry:
    marker = ""
    fields = _BLANKS.split(text, maxsplit=4)
    if fields[0].startswith(b"@"):
        marker = fields.pop(0).decode("ascii", "replace")
        if marker not in _MARKERS:
            raise ValueError(f"unknown marker {marker!r}")
    if len(fields) < 3:
        raise ValueError("expected a host, a key type and a key")
    hosts, kind, encoded = fields[:3]
    if hosts.startswith(b"|") and hosts.count(b"|") != 3:
        raise ValueError("a hashed host that is cut short")
    return Entry(path, number, marker, hosts, decode_key(kind.decode("ascii", "replace"), encoded))


def decode_key(kind: str, encoded: bytes) -> HostKey:
    """A key from its type and its base64. Raises ValueError."""
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise ValueError("the key is not valid base64") from None
    parts = _strings(blob)
    if len(parts) < 2 or parts[0] != kind.encode("ascii", "replace"):
        raise ValueError(f"the key is cut short, or not of the type {kind!r}")
    return HostKey(kind, blob)


def _strings(blob: bytes) -> list[bytes]:
    """The strings that a public key consists of; none if they do not fill it exactly."""
    parts = []
    offset = 0
    while offset < len(blob):
        size = int.from_bytes(blob[offset : offset + 4], "big")
        parts.append(blob[offset + 4 : offset + 4 + size])
        offset += 4 + size
    return parts if offset == len(blob) else []
