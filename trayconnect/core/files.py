"""Atomic file writes: after a crash the file has its old content or its new one, never a part."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.privacy import make_folder


def write_atomically(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace `path`, and make its folder if it is missing. Raises `ProblemError`."""
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
