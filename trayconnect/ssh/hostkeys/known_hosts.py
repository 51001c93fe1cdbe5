"""Reads known_hosts files, and appends to them (the format of sshd(8), "SSH_KNOWN_HOSTS FILE
FORMAT").

paramiko's reader gives up on a whole file for one malformed line, and its writer drops comments.
Here a malformed line costs only that line, and files are only appended to."""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import hmac
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trayconnect.config.algorithms import HOST_KEYS, is_certified, plain
from trayconnect.core.errors import shortage
from trayconnect.ssh.auth.data_types import strings
from trayconnect.ssh.transport.offered_algorithms import key_type

log = logging.getLogger(__name__)

CERT_AUTHORITY = "@cert-authority"
REVOKED = "@revoked"
_MARKERS = (CERT_AUTHORITY, REVOKED)
# OpenSSH 9 reads lines of these types, too, and takes another key beside them for a changed one.
_TYPES = frozenset(map(key_type, HOST_KEYS)) | {
    "ssh-dss",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
}
_SALT_BYTES = 20
_TOO_LONG = 1023  # OpenSSH then takes the line for no match at all
_PLAIN = re.compile(r"[^\s*?!,|#@]+")
_BLANKS = re.compile(rb"[ \t]+")
DEFAULT_PORT = 22


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public key: its type, and its encoding of RFC 4253 section 6.6."""

    type: str
    blob: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """As OpenSSH prints it: SHA256, base64 without padding."""
        digest = hashlib.sha256(self.blob).digest()
        return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")

    @property
    def line(self) -> str:
        """As OpenSSH writes it: the type, and base64."""
        return f"{self.type} {base64.b64encode(self.blob).decode('ascii')}"

    def __str__(self) -> str:
        return f"{self.type} {self.fingerprint}"


COMMAND = Path("KnownHostsCommand")
"""Instead of a file's path, for lines that the command printed."""


@dataclass(frozen=True, slots=True)
class KnownHostsEntry:
    """One line of a file, or of the output of KnownHostsCommand."""

    path: Path
    line: int
    marker: str
    hosts: bytes
    key: HostKey

    @property
    def place(self) -> str:
        if self.path == COMMAND:
            return f"what {COMMAND} of your SSH configuration prints, line {self.line}"
        return f"{self.path}, line {self.line}"

    @property
    def is_pattern(self) -> bool:
        """Whether the line may cover hosts beyond those it names."""
        return not self.hosts.startswith(b"|") and any(sign in self.hosts for sign in b"*?!")


class Verdict(enum.Enum):
    MATCH = "match"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Lookup:
    """The result of a lookup of a host's key.

    `entries` are the deciding lines: those with another key if the key changed, the line that
    revokes it, or the line that matches."""

    verdict: Verdict
    entries: tuple[KnownHostsEntry, ...] = ()


def host_name(host: str, port: int) -> str:
    """How the files write a host."""
    return host.lower() if port == DEFAULT_PORT else f"[{host.lower()}]:{port}"


def is_plain(name: str) -> bool:
    """Whether a line for `name` would cover exactly that name."""
    return _PLAIN.fullmatch(name) is not None and name.isprintable()


def names(host: str, port: int, alias: str | None = None) -> tuple[str, ...]:
    """The names under which a host is looked up; the first is the one to write. `alias` is
    HostKeyAlias of ssh_config(5), which replaces host and port.

    Like OpenSSH: a key of the bare name is accepted on any port, but a different key there does not
    count against this port."""
    if alias is not None:
        return (alias.lower(),)
    return tuple(dict.fromkeys((host_name(host, port), host_name(host, DEFAULT_PORT))))


def lookup(entries: Iterable[KnownHostsEntry], names: Sequence[str], key: HostKey) -> Lookup:
    """Look up the key that a host of these `names` presented, as OpenSSH does (hostfile.c)."""
    entries = tuple(entries)
    return _first(names, lambda name: _decide(entries, name, key))


def lookup_authority(
    entries: Iterable[KnownHostsEntry], names: Sequence[str], key: HostKey, authority: HostKey
) -> Lookup:
    """Look up an authority's certificate for the host key `key`: MATCH if `authority` has a line
    for the host.

    REVOKED if either is revoked; never CHANGED, because other authorities may certify the host as
    well."""
    entries = tuple(entries)
    return _first(names, lambda name: _decide_authority(entries, name, key, authority))


def known_types(entries: Iterable[KnownHostsEntry], names: Sequence[str]) -> tuple[str, ...]:
    """The key types in the files for a host."""
    entries = tuple(entries)
    for name in names:
        kinds = [e.key.type for e in entries if not e.marker and matches(e.hosts, name)]
        if kinds:
            return tuple(dict.fromkeys(kinds))
    return ()


def find_marked(
    marker: str, entries: Iterable[KnownHostsEntry], names: Sequence[str]
) -> KnownHostsEntry | None:
    """The first line for a host with that marker, if there is one."""
    for entry in entries:
        if entry.marker == marker and any(matches(entry.hosts, name) for name in names):
            return entry
    return None


def _first(names: Sequence[str], decide: Callable[[str], Lookup]) -> Lookup:
    found = decide(names[0])
    for name in names[1:]:
        if found.verdict is not Verdict.UNKNOWN:
            break
        other = decide(name)
        if other.verdict is not Verdict.CHANGED:
            found = other
    return found


def _decide(entries: Iterable[KnownHostsEntry], name: str, key: HostKey) -> Lookup:
    match: KnownHostsEntry | None = None
    others: list[KnownHostsEntry] = []
    for entry in entries:
        if not matches(entry.hosts, name):
            continue
        if entry.marker == REVOKED:
            if entry.key == key:
                return Lookup(Verdict.REVOKED, (entry,))
        elif entry.marker:
            continue
        elif entry.key == key:
            match = match or entry
        elif plain(entry.key.type) in _TYPES:
            # Of any type: a machine in the middle would present just such a key.
            others.append(entry)
    if match:
        return Lookup(Verdict.MATCH, (match,))
    if others:
        return Lookup(Verdict.CHANGED, tuple(others))
    return Lookup(Verdict.UNKNOWN)


def _decide_authority(
    entries: Iterable[KnownHostsEntry], name: str, key: HostKey, authority: HostKey
) -> Lookup:
    match: KnownHostsEntry | None = None
    for entry in entries:
        if not matches(entry.hosts, name):
            continue
        if entry.marker == REVOKED and entry.key in (key, authority):
            return Lookup(Verdict.REVOKED, (entry,))
        if entry.marker == CERT_AUTHORITY and entry.key == authority:
            match = match or entry
    return Lookup(Verdict.MATCH, (match,)) if match else Lookup(Verdict.UNKNOWN)


# --- the host patterns ------------------------------------------------------------------------


def matches(hosts: bytes, name: str) -> bool:
    """Whether the first field of a line covers `name`: hashed, or patterns with `*`, `?`, `!`."""
    target_name = name.lower().encode("utf-8", "surrogateescape")
    if hosts.startswith(b"|"):
        return _matches_hashed(hosts, target_name)
    found = False
    for item in hosts.lower().split(b","):
        pattern = item.removeprefix(b"!")
        if len(pattern) >= _TOO_LONG:
            return False
        if _fits(target_name, pattern):
            if item != pattern:
                return False
            found = True
    return found


def _fits(target_name: bytes, pattern: bytes) -> bool:
    if b"*" not in pattern and b"?" not in pattern:
        return target_name == pattern
    # Byte by byte, whatever the encoding.
    return matches_pattern(target_name.decode("latin-1"), pattern.decode("latin-1"))


def _matches_hashed(hosts: bytes, target_name: bytes) -> bool:
    # |1|base64 of the salt|base64 of HMAC-SHA1(salt, name)
    parts = hosts.split(b"|")
    if len(parts) != 4 or parts[1] != b"1":
        return False
    try:
        salt, stored = (base64.b64decode(part, validate=True) for part in parts[2:])
    except (binascii.Error, ValueError):
        return False
    if len(salt) != _SALT_BYTES:
        return False
    digest = hmac.new(salt, target_name, hashlib.sha1).digest()
    return hmac.compare_digest(digest, stored)


# --- the files --------------------------------------------------------------------------------


def read_files(paths: Sequence[Path], *, warn: bool = True) -> tuple[KnownHostsEntry, ...]:
    """Every usable line of the files, in order; a missing file counts as empty. `warn`: log the
    skipped lines."""
    return tuple(entry for path in paths for entry in read_file(path, warn=warn))


def read_file(path: Path, *, warn: bool = True) -> tuple[KnownHostsEntry, ...]:
    """See `read_files`. Raises OSError if the system lacks resources: a known host would otherwise
    count as new."""
    try:
        # A pipe or a device at that path could block without end.
        data = path.read_bytes() if path.is_file() else b""
    except OSError as error:
        if shortage(error):
            raise
        log.log(_level(warn), "cannot read %s: %s", path, error.strerror)
        return ()
    return tuple(parse(data, path, warn=warn))


def parse(data: bytes, path: Path, *, warn: bool = True) -> Iterable[KnownHostsEntry]:
    """The usable lines of a file's content; malformed ones are skipped with a warning."""
    for number, line in enumerate(data.split(b"\n"), start=1):
        # Like OpenSSH, for which a zero byte ends a line.
        before, zero, _ = line.partition(b"\0")
        text = before.strip(b" \t\r")
        if (not text and not zero) or text.startswith(b"#"):
            continue
        try:
            yield _parse_line(text, path, number)
        except ValueError as error:
            fresh = warn and _is_new(path, number, text)
            log.log(_level(fresh), "%s, line %d: skipped: %s", path, number, error)


_MOST_REPORTED = 1000
_reported: set[tuple[Path, int, bytes]] = set()


def _is_new(path: Path, number: int, text: bytes) -> bool:
    """Whether a malformed line was not reported before: a retry reads the same lines again."""
    line = (path, number, hashlib.sha256(text).digest())
    if line in _reported:
        return False
    if len(_reported) < _MOST_REPORTED:
        _reported.add(line)
    return True


def _level(warn: bool) -> int:
    return logging.WARNING if warn else logging.DEBUG


def _parse_line(text: bytes, path: Path, number: int) -> KnownHostsEntry:
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
    decode = decode_revoked if marker == REVOKED else _decode_known
    return KnownHostsEntry(
        path, number, marker, hosts, decode(kind.decode("ascii", "replace"), encoded)
    )


def decode_key(kind: str, encoded: bytes) -> HostKey:
    """A key from its type and its base64. Raises ValueError."""
    blob = _blob(encoded)
    try:
        parts = strings(blob)
    except ValueError:
        parts = []
    if len(parts) < 2 or parts[0] != kind.encode("ascii", "replace"):
        raise ValueError(f"the key is cut short, or not of the type {kind!r}")
    return HostKey(kind, blob)


def decode_revoked(kind: str, encoded: bytes) -> HostKey:
    """The same, or the key in a certificate, which OpenSSH revokes, too. Raises ValueError."""
    from trayconnect.ssh.auth.certificate import parse  # it needs HostKey

    if not is_certified(kind):
        return decode_key(kind, encoded)
    found = parse(_blob(encoded))
    if found.public.type != kind:
        raise ValueError(f"the certificate is not of the type {kind!r}")
    return found.key


def _decode_known(kind: str, encoded: bytes) -> HostKey:
    # A certificate matches no key, but it counts as a different one.
    is_good = is_certified(kind) and decode_revoked(kind, encoded)
    return HostKey(kind, _blob(encoded)) if is_good else decode_key(kind, encoded)


def _blob(encoded: bytes) -> bytes:
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise ValueError("the key is not valid base64") from None
    if base64.b64encode(blob) != encoded:
        raise ValueError("the key is not valid base64")
    return blob


def matches_pattern(text: str, pattern: str) -> bool:
    """Whether a pattern matches the whole text.

    Without `re`, which can take exponential time for many stars."""
    first, *rest = pattern.split("*")
    if not rest:
        return len(text) == len(pattern) and _at(text, 0, pattern)
    last = rest.pop()
    end = len(text) - len(last)
    if not _at(text, 0, first) or end < len(first) or not _at(text, end, last):
        return False
    # Match the text between two stars as early as possible.
    place = len(first)
    for part in rest:
        places = range(place, end - len(part) + 1)
        found = next((at for at in places if _at(text, at, part)), None)
        if found is None:
            return False
        place = found + len(part)
    return True


def _at(text: str, place: int, part: str) -> bool:
    """Whether `part`, with `?` for any character, occurs in `text` at `place`."""
    piece = text[place : place + len(part)]
    return len(piece) == len(part) and all(
        expected in ("?", found) for expected, found in zip(part, piece, strict=True)
    )
