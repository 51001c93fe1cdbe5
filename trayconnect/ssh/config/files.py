"""Where the reader gets its files from."""

from __future__ import annotations

import glob
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

MAX_BYTES = 1 << 20


class Files(Protocol):
    """The files of ssh_config(5)."""

    def read(self, path: Path, *, guarded: bool) -> str:
        """Its text. `guarded`: only if nobody but its owner, who is we or root, may write it.

        Raises OSError, FileNotFoundError where there is none."""
        ...

    def glob(self, pattern: str) -> list[Path]:
        """The files that a pattern of Include names, in order."""
        ...


class DiskFiles:
    """The real ones."""

    def read(self, path: Path, *, guarded: bool) -> str:
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(path, flags)
        with os.fdopen(descriptor, "rb") as file:
            about = os.fstat(descriptor)
            if stat.S_ISDIR(about.st_mode):
                raise IsADirectoryError(f"{path} is a folder")
            if guarded and sys.platform != "win32":
                others = about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
                if others or about.st_uid not in (0, os.getuid()):
                    raise PermissionError("others may write it: chmod go-w, and be its owner")
            data = file.read(MAX_BYTES + 1) if stat.S_ISREG(about.st_mode) else b""
        if len(data) > MAX_BYTES:
            raise OSError("it is larger than 1 MiB")
        return data.decode("utf-8", "surrogateescape")

    def glob(self, pattern: str) -> list[Path]:
        return [Path(name) for name in sorted(glob.glob(pattern))]  # noqa: PTH207 - absolute


@dataclass(frozen=True, slots=True)
class Places:
    """Which files are read. `named`: the one after `ssh -F`, in place of the usual two."""

    home: Path
    named: Path | None = None
    system: Path | None = None

    @property
    def user(self) -> Path:
        """The user's own file."""
        return self.home / ".ssh" / "config"


if sys.platform == "win32":

    def _system_file() -> Path:
        data = Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData"))
        return data / "ssh" / "ssh_config"
else:

    def _system_file() -> Path:
        return Path("/etc/ssh/ssh_config")


def usual_places(home: Path, named: Path | None = None) -> Places:
    """Those of this machine, for the user whose home that is."""
    return Places(home, named, _system_file())
