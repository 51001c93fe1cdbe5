"""The known_hosts files in use, and adding a key to our own one."""

from __future__ import annotations

import base64
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from trayconnect.tunnel import known_hosts
from trayconnect.tunnel.known_hosts import Entry, HostKey

log = logging.getLogger(__name__)

LOCK_SECONDS = 5.0
_in_process = threading.Lock()


@dataclass(frozen=True, slots=True)
class KnownHosts:
    """Where host keys are looked up (`read_only` and `own`), and where they are added (`own`)."""

    read_only: tuple[Path, ...]
    own: Path

    @classmethod
    def default(cls) -> KnownHosts:
        """OpenSSH's files of the user and of the system, and ours beside neither."""
        own = platformdirs.user_data_path("trayconnect", appauthor=False) / "known_hosts"
        user = Path("~/.ssh/known_hosts").expanduser()
        return cls((user, Path("/etc/ssh/ssh_known_hosts")), own)

    def entries(self) -> tuple[Entry, ...]:
        """The lines of all files as they are now."""
        return known_hosts.read_files((*self.read_only, self.own))

    def add(self, host: str, port: int, key: HostKey) -> None:
        """Append a key to our own file, unless it is there. Raises OSError."""
        name = known_hosts.host_name(host, port)
        line = f"{name} {key.type} {base64.b64encode(key.blob).decode('ascii')}\n".encode()
        self.own.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _in_process:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
            descriptor = os.open(self.own, flags, 0o600)
            with os.fdopen(descriptor, "r+b", buffering=0) as file, _locked(file.fileno()):
                present = file.read()
                found = known_hosts.lookup(known_hosts.parse(present, self.own), host, port, key)
                if found.verdict is known_hosts.Verdict.MATCH:
                    return
                # An editor may have left the last line open.
                file.write(line if not present or present.endswith(b"\n") else b"\n" + line)
                os.fsync(file.fileno())


@contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    """Hold the file against other processes; a lock that is never given up is passed over."""
    deadline = time.monotonic() + LOCK_SECONDS
    while not _try_lock(descriptor):
        if time.monotonic() > deadline:
            log.warning("known_hosts stays locked by another program; writing all the same")
            yield
            return
        time.sleep(0.02)
    try:
        yield
    finally:
        _unlock(descriptor)


if sys.platform == "win32":
    import msvcrt

    # Far behind any content: Windows locks keep others even from reading what they cover.
    _LOCKED_BYTE = 1 << 30

    def _try_lock(descriptor: int) -> bool:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        os.lseek(descriptor, 0, os.SEEK_SET)
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
