"""Where the prepared Windows lies, and how a program is started in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
PREPARED = ROOT / ".windows"
"""Made by `tests.windows.build`; may be a link to that of another checkout."""
PYTHON = PREPARED / "python" / "python.exe"
PREFIX = PREPARED / "prefix"
"""No program runs in it: each has a copy of its own (see `copy_prefix`)."""

_WINE_FOLDER = Path("/usr/lib/wine")
_WANTED = {"LANG", "LC_ALL", "PATH", "TERM", "TMPDIR", "DISPLAY"}


def wine() -> str | None:
    """The 64-bit wine, which Debian keeps out of the PATH."""
    debian = _WINE_FOLDER / "wine64"
    return str(debian) if debian.exists() else shutil.which("wine64") or shutil.which("wine")


def wineserver() -> str | None:
    debian = _WINE_FOLDER / "wineserver64"
    return str(debian) if debian.exists() else shutil.which("wineserver")


def windows_path(path: Path | PurePosixPath) -> str:
    """The name of a file of this system in Windows."""
    return "Z:" + str(path).replace("/", "\\")


def wine_environment(prefix: Path, home: Path) -> dict[str, str]:
    """The variables of a program in that prefix: nothing of the developer's own gets in."""
    server = wineserver()
    assert server is not None
    kept = {name: value for name, value in os.environ.items() if name in _WANTED}
    return kept | {
        "WINEPREFIX": str(prefix),
        "WINEARCH": "win64",
        "WINEDEBUG": "-all",
        "WINESERVER": server,
        # Neither .NET nor a web page is asked for, nor entries in this desktop's menu.
        "WINEDLLOVERRIDES": "mscoree=;mshtml=;winemenubuilder.exe=d",
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local/share"),
    }


def copy_prefix(target: Path) -> None:
    """A prefix of its own for one case. The programs of Windows itself, which nothing writes to,
    are linked; registry and folders of users are copied."""
    target.mkdir(parents=True)
    for entry in PREFIX.iterdir():
        if entry.name != "drive_c":
            _copy(entry, target)
    drive = target / "drive_c"
    drive.mkdir()
    for entry in (PREFIX / "drive_c").iterdir():
        _copy(entry, drive, linked=entry.name == "windows")


def _copy(source: Path, folder: Path, *, linked: bool = False) -> None:
    if linked and source.stat().st_dev == folder.stat().st_dev:
        done = subprocess.run(
            ["cp", "--archive", "--link", "--", source, folder],
            capture_output=True,
            timeout=120,
            check=False,
        )
        if done.returncode == 0:
            return
        shutil.rmtree(folder / source.name, ignore_errors=True)  # another mount of the same disk
    command = ["cp", "--archive", "--reflink=auto", "--", str(source), str(folder)]
    subprocess.run(command, check=True, timeout=120)


def run_wine(
    arguments: list[str | Path],
    prefix: Path,
    home: Path,
    *,
    limit: float,
    more: Mapping[str, str] | None = None,
) -> str:
    """Run a program to its end and return what it printed, both streams in one. Raises with its
    words where it fails. Its streams are pipes: wine gives Python no others."""
    loader = wine()
    assert loader is not None
    try:
        done = subprocess.run(
            [loader, *arguments],
            env={**wine_environment(prefix, home), **(more or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=limit,
            check=False,
        )
    finally:
        end_wine(prefix, home)
    words = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        raise RuntimeError(f"{arguments} ended with {done.returncode}:\n{words}")
    return words


def processes(prefix: Path) -> dict[int, str]:
    """The processes of that prefix, and their command lines."""
    mark = f"WINEPREFIX={prefix}".encode()
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(folder.name)] = line.decode(errors="replace")
    return found


def end_wine(prefix: Path, home: Path) -> None:
    """End every process of that prefix, and wait until they are gone."""
    server = wineserver()
    assert server is not None
    environment = wine_environment(prefix, home)
    for argument in ("--kill", "--wait"):
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run([server, argument], env=environment, timeout=30, check=False)
    for pid in processes(prefix):  # they outlive a server that crashed
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
