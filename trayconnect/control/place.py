"""The user's own folder for the instance lock and the control socket."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from trayconnect.control.address import OVERRIDE, runtime_path
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.privacy import make_folder

_NAME_ANOTHER = f'export {OVERRIDE}="$HOME/.trayconnect-run"'


def runtime_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder, created if need be, that only the user can enter.

    It depends on the user alone, so that every command finds the running app, from a terminal of
    the desktop as from a login without one. Raises `ProblemError` when it is not safe to use.
    """
    return private_folder(Path(runtime_path(environ)))


def private_folder(folder: Path) -> Path:
    """Create `folder` for the user alone, or check that it is such a one. Raises `ProblemError`.

    Anyone may create that name in /tmp first: hence lstat, and no repair of what is found, which
    could hold another user's socket."""
    try:
        make_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
    except OSError as error:
        raise ProblemError(
            Problem(
                f"The folder {folder} cannot be made",
                f"Name a folder that you can make: {_NAME_ANOTHER}",
                detail=str(error),
            )
        ) from error
    problem = _problem(folder, found)
    if problem is not None:
        raise ProblemError(problem)
    return folder


def _problem(folder: Path, found: os.stat_result) -> Problem | None:
    """What is wrong with a folder that was there already, and what this user can do about it."""
    title = f"The folder {folder} is not private"
    if sys.platform != "win32" and found.st_uid != os.geteuid():
        owner = f"owned by user {found.st_uid}"
        advice = f"It belongs to another user. Name a folder of your own: {_NAME_ANOTHER}"
        return Problem(title, advice, detail=f"{folder}: {owner}")
    if not stat.S_ISDIR(found.st_mode):
        advice = f"Remove it: rm {folder} (or name another one: {_NAME_ANOTHER})"
        return Problem(title, advice, detail=f"{folder}: not a folder")
    mode = stat.S_IMODE(found.st_mode)
    if sys.platform != "win32" and mode != 0o700:  # there, the profile's access list decides
        advice = f"Remove it: rm -r {folder} (or name another one: {_NAME_ANOTHER})"
        return Problem(title, advice, detail=f"{folder}: mode {mode:04o} instead of 0700")
    return None
