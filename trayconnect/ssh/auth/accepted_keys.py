"""The keys that servers accepted, so that the next login can begin with the same key."""

from __future__ import annotations

import threading

from trayconnect.ssh.hostkeys.known_hosts import HostKey


class AcceptedKeys:
    """Public keys that alone were enough for the last login to an account, in memory only. An
    account counts with its server's host key: another server is another account."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blobs: dict[tuple[str, bytes], bytes] = {}

    def get(self, account: str, host_key: HostKey) -> bytes | None:
        """The public half."""
        with self._lock:
            return self._blobs.get((account, host_key.blob))

    def put(self, account: str, host_key: HostKey, blob: bytes | None) -> None:
        """Keep the key of a login that has just succeeded. None: it needed something else."""
        with self._lock:
            if blob is None:
                self._blobs.pop((account, host_key.blob), None)
            else:
                self._blobs[account, host_key.blob] = blob
