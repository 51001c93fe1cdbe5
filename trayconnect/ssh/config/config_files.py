"""Reads from the files of ssh_config(5) what `ssh -G` does not report: the hosts that they name,
and, without `ssh`, whether they set anything."""

from __future__ import annotations

import itertools
import os
import re
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from trayconnect.config.openssh_syntax import ConfigLine, split_criteria, split_line, split_words
from trayconnect.ssh.config.expand import tilde
from trayconnect.ssh.config.honoured import QUIET

MAX_BYTES = 1 << 20
MAX_DEPTH = 16
"""Limit for nested Includes, as in readconf.c."""
_CHANGE_NOTHING = frozenset(("host", "match", "include", *QUIET))


@dataclass(frozen=True, slots=True)
class Places:
    """The paths of the files. `named`: the argument of `ssh -F`, instead of the default two; `none`
    is no file."""

    home: Path
    named: Path | None = None
    system: Path | None = None

    @property
    def user(self) -> Path | None:
        """The user's own file, or the named one."""
        if self.named is None:
            return self.home / ".ssh" / "config"
        return None if str(self.named) == "none" else self.named

    @property
    def all(self) -> tuple[Path, ...]:
        paths = (self.user, self.system if self.named is None else None)
        return tuple(path for path in paths if path is not None)


if sys.platform == "win32":

    def _system_file() -> Path:
        data = Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData"))
        return data / "ssh" / "ssh_config"
else:

    def _system_file() -> Path:
        return Path("/etc/ssh/ssh_config")


def usual_places(home: Path, named: Path | None = None) -> Places:
    """The paths on this machine, for the user whose home is `home`."""
    return Places(home, named, _system_file())


def lines(path: Path, places: Places, depth: int = 0) -> Iterator[ConfigLine]:
    """The lines of a file and of the files that it includes, whatever their conditions.

    Raises OSError for the file itself; skips unreadable included files."""
    # A relative Include is resolved beside the system's file, or in ~/.ssh.
    folder = path.parent if path == places.system else places.home / ".ssh"
    for text in _read(path).split("\n"):
        line = split_line(text)
        if line is None:
            continue
        yield line
        if line.keyword != "include" or depth == MAX_DEPTH:
            continue
        try:
            patterns = split_words(line.rest)
        except ValueError:
            continue
        for pattern in patterns:
            for name in sorted(glob(str(folder / tilde(pattern, places.home)))):  # noqa: PTH207 - absolute
                try:
                    yield from lines(Path(name), places, depth + 1)
                except OSError:
                    continue


def first_that_matters(places: Places) -> Path | None:
    """The first file that sets an option that matters for a connection, or that is unreadable."""
    for path in places.all:
        try:
            if any(line.keyword not in _CHANGE_NOTHING for line in lines(path, places)):
                return path
        except FileNotFoundError:
            continue
        except OSError:
            return path
    return None


def _read(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if stat.S_ISDIR(about.st_mode):
            raise IsADirectoryError(f"{path} is a folder")
        data = file.read(MAX_BYTES + 1) if stat.S_ISREG(about.st_mode) else b""
    if len(data) > MAX_BYTES:
        raise OSError("it is larger than 1 MiB")
    return data.decode("utf-8", "surrogateescape")


_PATTERN = re.compile(r"[*?!]")


def aliases(places: Places) -> tuple[str, ...]:
    """The names after `Host`, and after `Match host` and `originalhost`, without patterns, in the
    order of the user's file. Unreadable files are skipped here: connecting reports them."""
    found: dict[str, None] = {}
    if places.user is not None:
        try:
            for line in lines(places.user, places):
                found.update((name, None) for name in _names(line))
        except OSError:
            pass
    return tuple(found)


def _names(line: ConfigLine) -> list[str]:
    try:
        if line.keyword == "host":
            names = split_words(line.rest)
        elif line.keyword == "match":
            criteria = itertools.pairwise(split_criteria(line.rest))
            names = tuple(
                name
                for criterion, names in criteria
                if criterion.lower() in ("host", "originalhost")
                for name in names.split(",")
            )
        else:
            return []
    except ValueError:
        return []
    return [name for name in names if name and not _PATTERN.search(name)]
