"""What a test needs of the system, for `skipif`; each says what is missing."""

from __future__ import annotations

import shutil
import stat
import sys
from pathlib import Path

import pytest


def _posix(reason: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(sys.platform == "win32", reason=reason)


has_modes = _posix("Windows has no modes of files: the profile's access list keeps others out")
has_links = _posix("on Windows, only administrators make links")
has_posix_paths = _posix("the paths are of POSIX")
has_unix_sockets = _posix("Python on Windows has no UNIX sockets")
has_shell = _posix("Windows has no sh")


def _is_wine() -> bool:
    if sys.platform == "win32":
        import ctypes

        return hasattr(ctypes.windll.ntdll, "wine_get_version")
    else:  # noqa: RET505 - mypy calls code after a platform's return unreachable
        return False


def unless_wine(reason: str) -> pytest.MarkDecorator:
    """For what Windows can do and wine cannot."""
    return pytest.mark.skipif(_is_wine(), reason=f"wine: {reason}")


def has_mode(path: Path, wanted: int) -> bool:
    """Whether a file has that mode; always so on Windows, which has none."""
    return sys.platform == "win32" or stat.S_IMODE(path.lstat().st_mode) == wanted


def home_variables(folder: Path) -> dict[str, str]:
    """What makes `folder` the user's home, where all programs keep their files, on each system."""
    names = ("HOME", "USERPROFILE", "WIN_PD_OVERRIDE_APPDATA", "WIN_PD_OVERRIDE_LOCAL_APPDATA")
    return dict.fromkeys(names, str(folder))


def move_home(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """For the time of a test."""
    for name, value in home_variables(folder).items():
        monkeypatch.setenv(name, value)


names_port_owners = unless_wine("it does not tell which process has a port")
resets_sockets = unless_wine("a reset or shutdown of a socket wakes its reader late or never")
has_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed")
has_own_addresses = pytest.mark.skipif(
    sys.platform == "darwin", reason="of loopback, macOS has 127.0.0.1 alone"
)
checks_addresses = unless_wine("it binds addresses that are none of this machine")
