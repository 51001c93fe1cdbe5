"""The keys to try, their order, and the keys that were decrypted for a session."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from paramiko import PKey

from trayconnect.config.algorithms import is_certified
from trayconnect.config.model import Server
from trayconnect.core.errors import ProblemError
from trayconnect.ssh.auth import key_kinds, pasted_key, user_certificates
from trayconnect.ssh.auth.agent import AgentKey
from trayconnect.ssh.auth.certificate import Certificate
from trayconnect.ssh.auth.keyfile import (
    KeyFile,
    PassphraseNeededError,
    public_beside,
    read_key_file,
)
from trayconnect.ssh.auth.user_certificates import CertifiedKey
from trayconnect.ssh.auth.userauth import SigningKey
from trayconnect.ssh.hostkeys.known_hosts import HostKey
from trayconnect.ssh.target import LoginTarget

log = logging.getLogger(__name__)


def default_identity_files() -> tuple[Path, ...]:
    """OpenSSH's default identity files, of the usable types (`_sk`: through the agent)."""
    folder = Path("~/.ssh").expanduser()
    names = ("id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk")
    return tuple(folder / name for name in names)


class UnlockedKeys:
    """Decrypted private keys, in memory only, until their server is forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[str, dict[bytes, PKey]] = {}

    def get(self, server: str, file: KeyFile) -> PKey | None:
        """The key that was decrypted from exactly this content."""
        with self._lock:
            return self._keys.get(server, {}).get(_digest(file))

    def put(self, server: str, file: KeyFile, key: PKey) -> None:
        """Keep a key for the logins of a server."""
        with self._lock:
            self._keys.setdefault(server, {})[_digest(file)] = key

    def forget(self, server: str) -> None:
        """Drop the keys of a server."""
        with self._lock:
            self._keys.pop(server, None)


def _digest(file: KeyFile) -> bytes:
    return hashlib.sha256(file.data).digest()


@dataclass(frozen=True, slots=True)
class LoginKeys:
    """The keys that the login to a server may use.

    `own` is the entry's identity file, which must be usable; any of `files`, those of ssh_config(5)
    or the default ones, may be missing. `certificates` are those named there; if none is named, the
    one beside each key is used."""

    server: str
    username: str
    own: Path | None = None
    files: tuple[Path, ...] = ()
    certificates: tuple[Path, ...] = ()
    missing: tuple[Path, ...] = ()
    """Those of `files` that ssh_config(5) names and that do not exist."""
    are_named: bool = False
    """Whether the entry or ssh_config(5) names a key."""
    only: bool = False
    """IdentitiesOnly: of the agent's keys, use only those named here."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A key to try: `key` signs; if it is None, `file` must be decrypted first.

    `public` is what the server is shown; `certificate` is set if that is a certificate and not a
    plain key."""

    label: str
    public: HostKey | None
    key: SigningKey | None = field(default=None, repr=False)
    file: KeyFile | None = None
    certificate: Certificate | None = None

    @property
    def signs_at_once(self) -> bool:
        """Whether nobody can be asked for a signature: an agent may ask its user."""
        return self.key is not None and self.file is not None


class Candidates:
    """The keys to try, in order; `skipped` lists the skipped ones, one line each."""

    def __init__(
        self, keys: LoginKeys, agent_keys: Sequence[AgentKey], unlocked: UnlockedKeys
    ) -> None:
        self.are_named = keys.are_named
        self.skipped: list[str] = []
        self._keys = keys
        self._unlocked = unlocked
        self._agent_keys = list(agent_keys)
        self._held = {key.asbytes(): key for key in agent_keys}
        self._iterator = self._each_once()
        self._peeked: Candidate | None = None

    def __iter__(self) -> Iterator[Candidate]:
        """Continues after the last key that was taken. Raises `ProblemError` if the entry's own
        file cannot be used."""
        return self

    def __next__(self) -> Candidate:
        found, self._peeked = self._peeked, None
        return found or next(self._iterator)

    def peek(self) -> Candidate | None:
        """The next key, which is not taken. None after the last one. Raises as the iteration."""
        self._peeked = self._peeked or next(self._iterator, None)
        return self._peeked

    def _each_once(self) -> Iterator[Candidate]:
        seen: set[bytes] = set()
        for candidate in self._ordered():
            blob = candidate.public.blob if candidate.public else b""
            if blob and blob in seen:
                continue
            seen.add(blob)
            yield candidate

    def _ordered(self) -> Iterator[Candidate]:
        """The order of OpenSSH's `pubkey_prepare`: certificates, named keys in the agent, the
        agent's other keys, then files. The entry's own key comes first: OpenSSH would try each key
        of a full agent before it, and exceed the server's limit."""
        keys = self._keys
        own = [] if keys.own is None else [_Identity(keys.own)]
        for identity in own:
            yield from self._certified(identity)
            yield self._plain(identity)
        named = [identity for path in keys.files if (identity := _Identity(path)).exists]
        for path in keys.missing:
            self._skip(f"the key {path}, which your SSH configuration names, does not exist")
        for identity in named:
            yield from self._certified(identity)
        yield from self._certified_through_agent()
        for identity in named:
            if self._agent_key(identity) is not None:
                yield self._plain(identity)
        if not keys.only:
            for key in self._agent_keys:
                yield from self._of_agent(key)
        for identity in named:
            try:
                yield self._plain(identity)
            except ProblemError as error:
                self._skip(str(error.problem.title))

    # --- plain keys -------------------------------------------------------------------------------

    def _plain(self, identity: _Identity) -> Candidate:
        """Through the agent if it holds the key. Raises `ProblemError`."""
        held = self._agent_key(identity)
        if held is not None:
            public = HostKey(held.get_name(), held.asbytes())
            return Candidate(f"{identity.label} (through the agent)", public, held)
        file = read_key_file(identity.path)
        if file.is_on_device:
            raise key_kinds.on_device(identity.path)
        key = self._open(file)
        public_ = file.public if key is None else HostKey(key.get_name(), key.asbytes())
        return Candidate(identity.label, public_, key, file)

    def _open(self, file: KeyFile) -> PKey | None:
        """The key, if it needs no passphrase or was decrypted before. Raises `ProblemError`."""
        key = self._unlocked.get(self._keys.server, file)
        if key is None:
            try:
                key = file.decrypt()
            except PassphraseNeededError:
                return None
        return key

    def _agent_key(self, identity: _Identity) -> AgentKey | None:
        return None if identity.public is None else self._held.get(identity.public.blob)

    def _of_agent(self, key: AgentKey) -> Iterator[Candidate]:
        public = HostKey(key.get_name(), key.asbytes())
        label = f"the agent's key {key.comment or public.fingerprint}"
        if not is_certified(public.type):
            yield Candidate(label, public, key)
            return
        found = user_certificates.of(public.blob)
        label = f"the agent's certificate {key.comment or public.fingerprint}"
        if found is not None and self._is_usable(found, label):
            yield Candidate(label, public, CertifiedKey(public, key), certificate=found)

    # --- certificates -----------------------------------------------------------------------------

    def _certified(self, identity: _Identity) -> Iterator[Candidate]:
        """The certificates for a key, if the key is available for signing."""
        for path in self._keys.certificates or identity.certificate_paths:
            found = user_certificates.read(path)
            if found is None:
                if path.exists():
                    self._skip(f"{path} is no user certificate")
                continue
            label = self._label(path, found)
            if identity.public is not None and identity.public.blob != found.key.blob:
                continue
            if self._is_usable(found, label):
                yield from self._with_key(identity, found, label)

    def _certified_through_agent(self) -> Iterator[Candidate]:
        """The named certificates whose keys only the agent has."""
        for path in self._keys.certificates:
            found = user_certificates.read(path)
            held = self._held.get(found.key.blob) if found else None
            if found is None or held is None:
                continue
            label = self._label(path, found)
            if self._is_usable(found, label):
                key = CertifiedKey(found.public, held)
                yield Candidate(label, found.public, key, certificate=found)

    def _with_key(self, identity: _Identity, found: Certificate, label: str) -> Iterator[Candidate]:
        held = self._held.get(found.key.blob) or self._held.get(found.public.blob)
        if held is not None:
            key = CertifiedKey(found.public, held)
            yield Candidate(label, found.public, key, certificate=found)
            return
        try:
            file = read_key_file(identity.path)
            opened = None if file.is_on_device else self._open(file)
        except ProblemError:
            return  # reported where the plain key is tried
        if opened is not None and opened.asbytes() == found.key.blob:
            certified = CertifiedKey(found.public, opened)
            yield Candidate(label, found.public, certified, file, found)
        elif opened is None and not file.is_on_device:
            yield Candidate(label, found.public, None, file, found)

    def _label(self, path: Path, found: Certificate) -> str:
        others = found.principals and self._keys.username not in found.principals
        return f"the certificate {path}" + (
            f" (for {', '.join(found.principals[:3])})" if others else ""
        )

    def _is_usable(self, found: Certificate, label: str) -> bool:
        fault = user_certificates.fault(found)
        if fault is not None:
            self._skip(f"{label} {fault}")
        return fault is None

    def _skip(self, line: str) -> None:
        log.warning("%s: skipped: %s", self._keys.server, line)
        if line not in self.skipped:
            self.skipped.append(line)


class _Identity:
    """A named identity file that has not been read yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.label = f"the key {path}"
        self.public = _public_of(path)

    @property
    def exists(self) -> bool:
        """Whether the file or its public half exists: the public half is enough for an agent."""
        return self.public is not None or self.path.exists()

    @property
    def certificate_paths(self) -> tuple[Path, ...]:
        base = str(self.path).removesuffix(".pub")
        return (Path(f"{base}-cert.pub"),)


def missing(files: Sequence[Path]) -> tuple[Path, ...]:
    """The key files that do not exist, not even with their public half."""
    return tuple(path for path in files if not _Identity(path).exists)


def _public_of(path: Path) -> HostKey | None:
    """The public half, from either place that is readable without a passphrase."""
    try:
        return read_key_file(path).public
    except ProblemError:
        return public_beside(path)


def verify(identity_file: Path, agent_keys: Callable[[], Sequence[AgentKey]]) -> None:
    """Return if a login could use an identity file, directly or through the agent.

    Raises `ProblemError` with the reason otherwise."""
    try:
        read_key_file(identity_file).decrypt()
    except PassphraseNeededError:
        return
    except ProblemError:
        public = _public_of(identity_file)
        if public is None or all(key.asbytes() != public.blob for key in agent_keys()):
            raise


def login_keys(
    target: LoginTarget, server: Server, defaults: tuple[Path, ...], pasted_keys: Path
) -> LoginKeys:
    """The keys that the entry and ssh_config(5) name, or else `defaults`; and the pasted key."""
    options = target.options
    own = own_file(target, server)
    named = tuple(path for path in options.identity_files if path != own)
    if own is None and not named and not options.no_identity_files:
        named = defaults
    pasted = pasted_key.place(pasted_keys, server.name)
    if pasted.exists():
        own, named = (pasted, named) if own is None else (own, (pasted, *named))
    return LoginKeys(
        server=server.name,
        username=target.username,
        own=own,
        files=named,
        certificates=options.certificate_files,
        missing=missing(options.identity_files),
        are_named=own is not None or bool(options.identity_files),
        only=options.identities_only,
    )


def own_file(target: LoginTarget, server: Server) -> Path | None:
    """The entry's identity file, unless ssh_config(5) names others for this target: a jump host."""
    own = server.auth.identity_file
    named = target.options.identity_files
    return own if not named or own in named else None
