"""Learns the other host keys of a trusted server, so that the server can rotate its keys.

After the login a server announces its host keys (OpenSSH's PROTOCOL, section 2.5). The client
requests proofs for the new ones and appends them to our own file. The rules are those of
UpdateHostKeys in ssh_config(5), with one exception: keys that are no longer announced stay in the
file, because files are only appended to. An announcement can never make a server trusted under
another name."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Sequence

from paramiko import Message

from trayconnect.config.algorithms import HOST_KEYS
from trayconnect.ssh.auth.certificate import plain_key
from trayconnect.ssh.auth.data_types import DataReader, string, strings
from trayconnect.ssh.auth.signatures import verifies
from trayconnect.ssh.hostkeys import known_hosts
from trayconnect.ssh.hostkeys.known_hosts import REVOKED, HostKey, KnownHostsEntry
from trayconnect.ssh.hostkeys.known_hosts_store import KnownHosts
from trayconnect.ssh.target import LoginTarget
from trayconnect.ssh.transport.offered_algorithms import key_type, signatures
from trayconnect.ssh.transport.ssh_transport import SshTransport

log = logging.getLogger(__name__)

PROVE = "hostkeys-prove-00@openssh.com"
PROVE_SECONDS = 15.0
MAX_KEYS = 16
"""More host keys than any server has."""
_TYPES = frozenset(map(key_type, HOST_KEYS))


class HostKeyUpdate:
    """Learns the keys of one server, on a short-lived thread.

    Made before the login, because the announcement may follow it at once; nothing is trusted before
    `start`."""

    def __init__(self, transport: SshTransport, target: LoginTarget, store: KnownHosts) -> None:
        self._transport = transport
        self._target = target
        self._store = store
        self._lock = threading.Lock()
        self._started = False
        self._announced: bytes | None = None
        self._thread: threading.Thread | None = None
        self._done = threading.Event()
        self._proofs: bytes | None = None
        transport.on_host_keys = self._announced_by_server

    def start(self) -> None:
        """The server's plain key is trusted, and the login succeeded."""
        with self._lock:
            self._started = True
            self._start_thread()

    def close(self, timeout: float) -> None:
        """Stop, and join the thread."""
        with self._lock:
            self._started = False
            thread = self._thread
        self._done.set()
        if thread is not None:
            thread.join(timeout)

    def _announced_by_server(self, body: bytes) -> None:
        """Called on the transport's thread."""
        with self._lock:
            if self._announced is None:
                self._announced = body
                self._start_thread()

    def _start_thread(self) -> None:
        if self._started and self._announced is not None and self._thread is None:
            name = f"tc-hostkeys {self._target.server}"
            thread = threading.Thread(target=self._run, name=name, daemon=True)
            with contextlib.suppress(
                RuntimeError
            ):  # no more threads: the next login announces it again
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        presented, announced = self._transport.presented, self._announced
        assert presented is not None
        assert announced is not None
        try:
            keys = fresh(announced, presented.key, self._store, self._target.known_hosts_names)
            if not keys:
                return
            check_proofs(keys, self._ask(keys), self._transport.session_id or b"")
            self._store.add(self._target.known_hosts_names[0], keys)
            for key in keys:
                log.info("%s proved another host key: %s", self._target.address, key)
        except ValueError as error:
            log.warning("%s: its other host keys are not learned: %s", self._target.address, error)
        except OSError as error:
            log.warning("cannot write %s: %s", self._store.own, error)

    def _ask(self, keys: Sequence[HostKey]) -> bytes:
        """Request the proofs. Raises ValueError if none come."""
        self._transport.ask(PROVE, self._answered, *(key.blob for key in keys))
        self._done.wait(PROVE_SECONDS)
        if self._proofs is None:
            raise ValueError("it did not prove them")
        return self._proofs

    def _answered(self, reply: Message | None) -> None:
        self._proofs = reply.get_remainder() if reply is not None else None
        self._done.set()


def fresh(
    announced: bytes, key: HostKey, store: KnownHosts, names: Sequence[str]
) -> tuple[HostKey, ...]:
    """The announced keys to learn for the host `names`, whose `key` is trusted.

    None if the user's files do not hold that key for exactly this host, or cover the host by a
    pattern, an authority or a revocation: an administrator maintains them then. Raises
    ValueError."""
    entries = store.entries(warn=False)
    users = [entry for entry in entries if entry.path not in store.system]
    about = [entry for entry in users if known_hosts.matches(entry.hosts, names[0])]
    if any(entry.is_pattern or entry.marker for entry in about):
        return ()
    present = {entry.key for entry in about}
    if store.own is None or key not in present:
        return ()
    found = [_key(blob) for blob in strings(announced)[:MAX_KEYS]]
    revoked = _revoked(entries, names)
    return tuple(dict.fromkeys(k for k in found if k and k not in present and k not in revoked))


def check_proofs(keys: Sequence[HostKey], proofs: bytes, session_id: bytes) -> None:
    """Return if `proofs` contain a signature by each of `keys`. Raises ValueError otherwise."""
    found = strings(proofs)
    if len(found) != len(keys):
        raise ValueError("it did not prove each of them")
    for key, signature in zip(keys, found, strict=True):
        signed = b"".join(map(string, (PROVE.encode(), session_id, key.blob)))
        if not verifies(key, signed, signature, signatures(key.type)):
            raise ValueError(f"it does not hold the {key.type} key {key.fingerprint}")


def _key(blob: bytes) -> HostKey | None:
    """None for an unknown type, or a certificate. Raises ValueError."""
    kind = DataReader(blob).string().decode("ascii", "replace")
    return plain_key(kind, blob) if kind in _TYPES else None


def _revoked(entries: Sequence[KnownHostsEntry], names: Sequence[str]) -> set[HostKey]:
    return {
        entry.key
        for entry in entries
        if entry.marker == REVOKED and any(known_hosts.matches(entry.hosts, n) for n in names)
    }
