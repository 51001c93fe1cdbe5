"""Which keys to try, in which order, and what was decrypted for the time of a session."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from paramiko import PKey

from trayconnect.errors import ProblemError
from trayconnect.tunnel.agent import AgentKey
from trayconnect.tunnel.keyfile import KeyFile, PassphraseNeededError, read_key_file
from trayconnect.tunnel.known_hosts import HostKey
from trayconnect.tunnel.userauth import SigningKey

log = logging.getLogger(__name__)


def default_identity_files() -> tuple[Path, ...]:
    """OpenSSH's default identity files, of the types that can be used."""
    folder = Path("~/.ssh").expanduser()
    return tuple(folder / name for name in ("id_ed25519", "id_ecdsa", "id_rsa"))


class UnlockedKeys:
    """Decrypted private keys, in memory only, until their server is forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[str, dict[bytes, PKey]] = {}

    def get(self, server: str, file: KeyFile) -> PKey | None:
        """The key in this very content of the file."""
        with self._lock:
            return self._keys.get(server, {}).get(_digest(file))

    def put(self, server: str, file: KeyFile, key: PKey) -> None:
        """Keep a key for the logins of a server."""
        with self._lock:
            self._keys.setdefault(server, {})[_digest(file)] = key

    def forget(self, server: str) -> None:
        """Drop what was kept for a server."""
        with self._lock:
            self._keys.pop(server, None)


def _digest(file: KeyFile) -> bytes:
    return hashlib.sha256(file.data).digest()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A key to try: `key` signs; where it is None, `file` must be decrypted first."""

    label: str
    public: HostKey | None
    key: SigningKey | None = None
    file: KeyFile | None = None


def candidates(
    server: str,
    identity_files: Sequence[Path],
    named: Path | None,
    agent_keys: Sequence[AgentKey],
    defaults: Iterable[Path],
    unlocked: UnlockedKeys,
) -> Iterator[Candidate]:
    """As OpenSSH: the identity files, then the agent's keys, then the default files, if there are
    no others. A key in a file that the agent also holds is used through the agent.

    `named` is the identity file of the entry: raises `ProblemError` if it cannot be used. Others
    that cannot are passed over."""
    held = {key.asbytes(): _from_agent(key) for key in agent_keys}
    seen: set[bytes] = set()
    for candidate in _ordered(server, identity_files, named, held, defaults, unlocked):
        blob = candidate.public.blob if candidate.public else b""
        if blob and blob in seen:
            continue
        seen.add(blob)
        yield candidate


def _ordered(
    server: str,
    identity_files: Sequence[Path],
    named: Path | None,
    held: dict[bytes, Candidate],
    defaults: Iterable[Path],
    unlocked: UnlockedKeys,
) -> Iterator[Candidate]:
    for path in identity_files:
        if path == named:
            yield _from_file(server, read_key_file(path), held, unlocked)
        else:
            yield from _if_usable(server, path, held, unlocked)
    yield from held.values()
    if not identity_files:
        for path in defaults:
            yield from _if_usable(server, path, held, unlocked)


def _if_usable(
    server: str, path: Path, held: dict[bytes, Candidate], unlocked: UnlockedKeys
) -> Iterator[Candidate]:
    if not path.exists():
        return
    try:
        yield _from_file(server, read_key_file(path), held, unlocked)
    except ProblemError as error:
        log.warning("skipped: %s", error)


def _from_agent(key: AgentKey) -> Candidate:
    public = HostKey(key.get_name(), key.asbytes())
    return Candidate(f"the agent's key {key.comment or public.fingerprint}", public, key)


def _from_file(
    server: str, file: KeyFile, held: dict[bytes, Candidate], unlocked: UnlockedKeys
) -> Candidate:
    if file.public is not None and file.public.blob in held:
        return held[file.public.blob]
    label = f"the key {file.path}"
    key = unlocked.get(server, file)
    if key is None:
        try:
            key = file.decrypt()
        except PassphraseNeededError:
            return Candidate(label, file.public, None, file)
    return Candidate(label, HostKey(key.get_name(), key.asbytes()), key, file)
