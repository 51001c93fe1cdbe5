"""One running app for each user: a lock that the system releases however its owner ends."""

from __future__ import annotations

import errno
import logging
import os
import sys
from pathlib import Path

from trayconnect.core.errors import Problem, ProblemError

_log = logging.getLogger(__name__)

_NAME = "instance.lock"

if sys.platform == "win32":
    import ctypes
    import msvcrt

    # Not `msvcrt.locking`: the C library of wine leaves errno as it was.
    _kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
    # The lock of a byte shuts out readers too: one far behind the text leaves that readable.
    _LOCKED_BYTE = 1 << 20

    def _try_lock(descriptor: int) -> None:
        handle = ctypes.c_void_p(msvcrt.get_osfhandle(descriptor))
        if not _kernel32.LockFile(handle, _LOCKED_BYTE, 0, 1, 0):
            raise ctypes.WinError(ctypes.get_last_error())

    def _unlock(descriptor: int) -> None:
        handle = ctypes.c_void_p(msvcrt.get_osfhandle(descriptor))
        if not _kernel32.UnlockFile(handle, _LOCKED_BYTE, 0, 1, 0):
            raise ctypes.WinError(ctypes.get_last_error())

else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


_TAKEN = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}


def owner_pid(folder: Path) -> int | None:
    """The process that took the lock of `folder` last, for messages; it may be gone."""
    try:
        text = (folder / _NAME).read_bytes()[:32]
        return int(text)
    except (OSError, ValueError):
        return None


class InstanceLock:
    """The lock of a runtime folder. Not for several threads at once.

    Its file is never deleted: a process that has it open would hold a lock that no other sees.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def acquire(self) -> bool:
        """Take the lock without waiting; true if this object has it now.

        Raises `ProblemError` when the file can't be used at all."""
        if self._descriptor is not None:
            return True
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        try:
            descriptor = os.open(self.folder / _NAME, flags, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            _try_lock(descriptor)
        except OSError as error:
            os.close(descriptor)
            if error.errno in _TAKEN:
                return False
            raise self._unusable(error) from error
        self._descriptor = descriptor
        _write_pid(descriptor)
        return True

    def release(self) -> None:
        """Give it back; does nothing when it isn't held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        try:
            _unlock(descriptor)
        except OSError as error:
            _log.warning("The instance lock is only given back by closing it: %s", error)
        finally:
            os.close(descriptor)

    def _unusable(self, error: OSError) -> ProblemError:
        return ProblemError(
            Problem(
                f"The lock file in {self.folder} cannot be used",
                "Check that the folder exists and that you may write to it.",
                detail=str(error),
            )
        )


def _write_pid(descriptor: int) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, b"%d\n" % os.getpid())
    except OSError as error:  # a full disk; the lock holds anyway
        _log.warning("The lock file does not name its owner: %s", error)
