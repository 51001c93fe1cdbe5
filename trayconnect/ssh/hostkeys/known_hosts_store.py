"""The known_hosts files in use, and appending a key to our own one."""

from __future__ import annotations

import base64
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path

import platformdirs

from trayconnect.core.privacy import make_folder
from trayconnect.ssh.config.ssh_options import SshOptions
from trayconnect.ssh.hostkeys import known_hosts
from trayconnect.ssh.hostkeys.known_hosts import HostKey, KnownHostsEntry

log = logging.getLogger(__name__)

LOCK_SECONDS = 5.0
_REOPENINGS = 10
_in_process = threading.Lock()


@dataclass(frozen=True, slots=True)
class KnownHosts:
    """The files for lookups: OpenSSH's files of the `user` and of the `system`, and our `own`, the
    only one that is written. `own` None: nothing is stored."""

    user: tuple[Path, ...]
    own: Path | None
    system: tuple[Path, ...] = ()
    pinned: tuple[KnownHostsEntry, ...] = ()
    """Lines of no file, which count beside those of the files."""

    @classmethod
    def default(cls, own: Path | None = None) -> KnownHosts:
        """OpenSSH's default files, and ours."""
        own = own or platformdirs.user_data_path("trayconnect", appauthor=False) / "known_hosts"
        ssh = Path("~/.ssh").expanduser()
        return cls((ssh / "known_hosts", ssh / "known_hosts2"), own, _system_files())

    def under(self, options: SshOptions) -> KnownHosts:
        """The files for a host with these `options`.

        Without a user file (`UserKnownHostsFile none`, or /dev/null) nothing must be remembered, so
        our own file is left out, too."""
        user, system = options.user_known_hosts_files, options.global_known_hosts_files
        found = self
        if user is not None:
            user = tuple(path for path in user if path != Path(os.devnull))
            found = replace(found, user=user, own=self.own if user else None)
        return found if system is None else replace(found, system=system)

    @property
    def files(self) -> tuple[Path, ...]:
        """All files, in the order of reading."""
        own = (self.own,) if self.own is not None else ()
        return (*self.user, *own, *self.system)

    def entries(self, *, warn: bool = True) -> tuple[KnownHostsEntry, ...]:
        """The current lines of all files; `warn`: log the unreadable lines, too."""
        return (*self.pinned, *known_hosts.read_files(self.files, warn=warn))

    def add(self, name: str, keys: Sequence[HostKey]) -> None:
        """Append the keys of the host `name` that our own file lacks.

        Names are written in plain text, whatever HashKnownHosts says: servers.yaml has them, too.
        Raises OSError."""
        if self.own is None:
            return
        if not known_hosts.is_plain(name):
            raise OSError(f"{name!r} cannot be written as the name of one host")
        make_folder(self.own.parent)
        with _in_process, _open_locked(self.own) as file:
            present = file.read()
            entries = tuple(known_hosts.parse(present, self.own, warn=False))
            fresh = (key for key in dict.fromkeys(keys) if not _has(entries, name, key))
            lines = b"".join(_line(name, key) for key in fresh)
            if not lines:
                return
            # An editor may have left the last line without a line end.
            open_end = present and not present.endswith(b"\n")
            file.write(b"\n" + lines if open_end else lines)
            os.fsync(file.fileno())


def _system_files() -> tuple[Path, ...]:
    if sys.platform == "win32":
        folder = Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "ssh"
    else:
        folder = Path("/etc/ssh")
    return (folder / "ssh_known_hosts", folder / "ssh_known_hosts2")


def _line(name: str, key: HostKey) -> bytes:
    return f"{name} {key.type} {base64.b64encode(key.blob).decode('ascii')}\n".encode()


def _has(entries: Sequence[KnownHostsEntry], name: str, key: HostKey) -> bool:
    return known_hosts.lookup(entries, (name,), key).verdict is known_hosts.Verdict.MATCH


@contextmanager
def _open_locked(path: Path) -> Iterator[FileIO]:
    """Open the file at `path` for appending, make it if necessary, and lock it."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
    for _ in range(_REOPENINGS):
        with FileIO(os.open(path, flags, 0o600), "r+") as file, _locked(file.fileno()):
            # ssh-keygen -R replaces the file, perhaps while we waited for the lock of the old one.
            if _is_at(path, file.fileno()):
                yield file
                return
    raise OSError(f"{path} is replaced over and over")


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    """Lock the file against other processes; a lock that is never released is ignored."""
    deadline = time.monotonic() + LOCK_SECONDS
    while not _try_lock(descriptor):
        if time.monotonic() > deadline:
            log.warning("known_hosts stays locked by another program; writing anyway")
            yield
            return
        time.sleep(0.02)
    try:
        yield
    finally:
        _unlock(descriptor)


if sys.platform == "win32":
    import msvcrt

    # Far behind any content: Windows locks also prevent reading of the locked range.
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
