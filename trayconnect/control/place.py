"""The user's own folder for the instance lock and the control socket."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import platformdirs

from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.privacy import make_folder

OVERRIDE = "TRAYCONNECT_RUNTIME_DIR"
"""Environment variable naming another folder, to run a second app beside the first."""

_NAME_ANOTHER = f'export {OVERRIDE}="$HOME/.trayconnect-run"'
SOCKET_NAME = "control.sock"
SOCKET_PATH_MAX = 103
"""Bytes: the least `sun_path` of the systems served, macOS's 104, less its NUL (Linux has 108)."""


def runtime_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder, created if need be, that only the user can enter.

    It depends on the user alone, so that every command finds the running app, from a terminal of
    the desktop as from a login without one. Raises `ProblemError` when it is not safe to use.
    """
    override = environ.get(OVERRIDE)
    if override:
        folder = Path(override).absolute()
    elif sys.platform == "win32":
        # Not the runtime folder, which is within Temp: the system tidies that one up.
        folder = platformdirs.user_data_path("trayconnect", appauthor=False)
    elif sys.platform == "darwin":
        # As platformdirs' user_runtime_path, but for XDG variables, which the Finder doesn't know.
        folder = Path.home() / "Library/Caches/TemporaryItems/trayconnect"
    else:
        folder = _linux_folder(environ, os.geteuid())
    if sys.platform != "win32" and len(os.fsencode(folder / SOCKET_NAME)) > SOCKET_PATH_MAX:
        digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
        folder = Path(f"/tmp/trayconnect-{os.geteuid()}-{digest}")  # noqa: S108 - checked below
    return private_folder(folder)


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


def _linux_folder(environ: Mapping[str, str], uid: int) -> Path:
    """In the runtime directory of the XDG Base Directory Specification where the user has one.

    The variable is missing in `su`, cron and some terminals, and under `sudo` it is another user's:
    then the folder that systemd gives every login is used, by its name."""
    for parent in (environ.get("XDG_RUNTIME_DIR"), f"/run/user/{uid}"):
        if parent and Path(parent).is_absolute() and _is_ours(Path(parent), uid):
            return Path(parent, "trayconnect")
    usual = Path(f"/tmp/trayconnect-{uid}")  # noqa: S108 - checked by `private_folder`
    # Anyone can be first in /tmp, and only the user in the home folder.
    return Path.home() / ".cache/trayconnect/run" if _is_anothers(usual, uid) else usual


def _is_anothers(folder: Path, uid: int) -> bool:
    try:
        return folder.lstat().st_uid != uid
    except OSError:
        return False


def _is_ours(folder: Path, uid: int) -> bool:
    """Whether no other user can rename or replace what is in it."""
    try:
        found = folder.stat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid and not found.st_mode & 0o022
