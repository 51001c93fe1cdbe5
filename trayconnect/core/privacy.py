"""Protection from other users of this machine: private folders, no core dumps, and a check for who
else can write a trusted file."""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_PR_SET_DUMPABLE = 4
"""prctl(2) of Linux."""
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def make_folder(folder: Path) -> None:
    """Make `folder` and its missing parents, each with mode 0700 whatever the umask is. Raises
    OSError."""
    # Path.mkdir(parents=True) applies the mode to the last folder only.
    for missing in reversed([each for each in folder.parents if not each.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


def make_private(folder: Path) -> None:
    """Make sure that `folder` is the user's own folder, closed to others. Raises OSError."""
    make_folder(folder)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(f"{folder} is not a folder")
    if sys.platform != "win32" and found.st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    folder.chmod(0o700)


def own_folders() -> list[Path]:
    """The folders of this program, apart from the server file's; outer ones first."""
    import platformdirs

    return [
        place("trayconnect", appauthor=False)
        for place in (
            platformdirs.user_state_path,
            platformdirs.user_data_path,
            platformdirs.user_cache_path,
            platformdirs.user_log_path,
        )
    ]


if sys.platform == "win32":

    def close_to_others(folders: Iterable[Path]) -> list[Path]:
        """On Windows, the access list of the profile keeps others out."""
        del folders
        return []

else:

    def close_to_others(folders: Iterable[Path]) -> list[Path]:
        """Close those of the user's folders that others can write to, as an earlier version made
        them under an open umask. Returns the closed ones."""
        closed = []
        for folder in folders:
            with suppress(OSError):
                found = folder.lstat()
                is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
                if is_ours and found.st_mode & _OTHERS_WRITE:
                    folder.chmod(0o700)
                    if found.st_mode & _written_by_others(found.st_gid):
                        closed.append(folder)
        return closed


def no_core_dumps() -> None:
    """Prevent a core dump of this process, whose memory holds passwords and tokens. On Linux, this
    also keeps the user's other processes from reading it."""
    if sys.platform != "win32":
        import resource

        with suppress(OSError, ValueError):
            _, hard = resource.getrlimit(resource.RLIMIT_CORE)
            resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    if sys.platform == "linux":
        # The limit has no effect where core(5) names a pipe.
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


if sys.platform == "win32":

    def writers(path: Path) -> list[tuple[Path, str]]:
        """On Windows, the access list of the profile keeps others out."""
        del path
        return []

else:
    import grp
    import pwd

    def writers(path: Path) -> list[tuple[Path, str]]:
        """Where users other than this one and root can change the file `path`, or replace it: the
        file or folder, and what to do about it."""
        found: dict[Path, str] = {}
        for place in (path, path.resolve()):
            for each in (place, *place.parents):
                with suppress(OSError):
                    if advice := _advice(each):
                        found[each] = advice
        return list(found.items())

    def _advice(path: Path) -> str:
        about = path.lstat()
        if stat.S_ISLNK(about.st_mode):
            return ""
        if about.st_uid not in (0, os.getuid()):
            return f"make it yours: sudo chown {os.getuid()} {path}"
        # In a folder with the sticky bit, nobody can replace another user's file.
        is_guarded = stat.S_ISDIR(about.st_mode) and about.st_mode & stat.S_ISVTX
        is_open = about.st_mode & _written_by_others(about.st_gid)
        return f"chmod go-w {path}" if is_open and not is_guarded else ""

    def _written_by_others(group: int) -> int:
        """The bits of a mode that let others write to the files of that group. A group with this
        user as its only member does not count: many systems make one for each user, with a umask
        that lets it write."""
        try:
            user, found = pwd.getpwuid(os.getuid()), grp.getgrgid(group)
        except KeyError:
            return _OTHERS_WRITE
        is_primary = (found.gr_gid, found.gr_name) == (user.pw_gid, user.pw_name)
        return stat.S_IWOTH if is_primary and set(found.gr_mem) <= {user.pw_name} else _OTHERS_WRITE
