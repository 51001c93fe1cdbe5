"""Listening on a UNIX socket, for this user alone."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from trayconnect.core.errors import Problem, ProblemError

_BACKLOG = 1024
_ASK_SECONDS = 1.0
_ELSEWHERE = "Choose another local_socket in the servers file."

if sys.platform == "win32":

    def bind_unix(path: Path, owner: str) -> tuple[socket.socket, Callable[[], None]]:
        """Raises `ProblemError`: Python has no UNIX sockets on Windows."""
        raise ProblemError(
            Problem(
                f"Local socket {path} of {owner} is not available on Windows",
                "Choose a local_port instead in the servers file.",
            )
        )

else:

    def bind_unix(path: Path, owner: str) -> tuple[socket.socket, Callable[[], None]]:
        """A listening socket, non-blocking, that only this user can connect to (0600), and a
        function that removes its file while the socket is open. A missing folder is made (0700).

        A socket file with no listener is what a killed program left; it is replaced. Any other file
        is kept. `owner` is the name of the entry that wants the socket. Raises `ProblemError`."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with contextlib.suppress(FileExistsError):
                path.parent.mkdir(mode=0o700)
            _make_room(path, owner)
            listening.bind(os.fspath(path))
            # Nobody can connect before `listen`, so no umask is needed, which would be
            # process-wide.
            path.chmod(0o600)
            identity = _identity(path)
            listening.listen(_BACKLOG)
            listening.setblocking(False)
        except OSError as error:
            listening.close()
            raise ProblemError(_problem(error, path, owner)) from error
        except BaseException:
            listening.close()
            raise

        def remove() -> None:
            # After the socket is closed, its inode may belong to another file.
            with contextlib.suppress(OSError):
                if _identity(path) == identity:
                    path.unlink()

        return listening, remove

    def _make_room(path: Path, owner: str) -> None:
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise ProblemError(
                Problem(
                    f"Local socket {path} of {owner} is a file already, and not a socket",
                    f"trayconnect does not touch it. {_ELSEWHERE}",
                )
            )
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(_ASK_SECONDS)
            try:
                asking.connect(os.fspath(path))
            except ConnectionRefusedError:
                path.unlink()
                return
            except (BlockingIOError, TimeoutError):
                pass  # there is a listener, and it is busy
        raise ProblemError(
            Problem(
                f"Local socket {path} of {owner} is taken by another program",
                f"Stop that program, or: {_ELSEWHERE[0].lower()}{_ELSEWHERE[1:]}",
            )
        )

    def _identity(path: Path) -> tuple[int, int]:
        found = path.lstat()
        return found.st_dev, found.st_ino

    def _problem(error: OSError, path: Path, owner: str) -> Problem:
        if isinstance(error, FileNotFoundError):
            advice = f"The folder above {path.parent} is missing: make it. Or: {_ELSEWHERE}"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            advice = f"You may not write to the folder {path.parent}. {_ELSEWHERE}"
        elif error.errno is None or error.errno == errno.ENAMETOOLONG:
            # Python's own message says it, without an errno.
            advice = f"The path is too long for this system. {_ELSEWHERE}"
        else:
            reason = os.strerror(error.errno)
            advice = f"The system says: {reason}. Fix that, or choose another local_socket."
        return Problem(
            f"Local socket {path} of {owner} cannot be opened", advice, detail=str(error)
        )
