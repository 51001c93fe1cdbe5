"""Atomic file writes, and unnamed files for the output of another program."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import IO

from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.privacy import make_folder

_ROOM = 64 << 10


def write_atomically(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace `path`, and make its folder if it is missing. After a crash the file has its old
    content or its new one, never a part. Raises `ProblemError`."""
    try:
        make_folder(path.parent)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(mode)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise cannot_write(path, error) from error


def remove(path: Path) -> None:
    """Delete `path` if it exists. Raises `ProblemError`."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> ProblemError:
    return ProblemError(
        Problem(
            f"Cannot write {path}",
            f"The system says: {error.strerror or error}. Check the permissions of that folder.",
            detail=repr(error),
        )
    )


if sys.platform == "linux":

    def scratch() -> IO[bytes]:
        """An unnamed file for the output of a child. A pipe stays open as long as a process that
        the child leaves running; a file has no such end to wait for."""
        # In memory: no disk has to have room for it.
        return os.fdopen(os.memfd_create("trayconnect"), "w+b")
else:

    def scratch() -> IO[bytes]:
        """An unnamed file."""
        return tempfile.TemporaryFile()


def check_room(file: IO[bytes]) -> None:
    """Raise OSError if the file cannot grow: it may have been too short for what was written."""
    file.seek(0, os.SEEK_END)
    file.write(bytes(_ROOM))
    file.flush()
