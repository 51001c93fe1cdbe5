"""Starting and ending the processes of other programs on each platform."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_FROZEN_PATHS = ("LD_LIBRARY_PATH", "LIBPATH", "DYLD_LIBRARY_PATH")


def clean_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for other programs.

    PyInstaller's boot loader points the library path at its own folder and keeps the original
    as `*_ORIG`; a system program that loaded our libraries could crash.
    """
    result = dict(environ)
    if getattr(sys, "frozen", False):
        for name in _FROZEN_PATHS:
            original = result.pop(f"{name}_ORIG", None)
            result.pop(name, None)
            if original is not None:
                result[name] = original
    return result


def path_for_others(path: Path) -> Path:
    """A path of ours as other programs find it. Python from the Microsoft Store redirects what it
    writes below AppData, and only Python itself sees the file at the redirected path."""
    if sys.platform == "win32":
        return Path(os.path.realpath(path))
    else:  # noqa: RET505 - mypy calls code after a platform's return unreachable
        return path


def no_console() -> int:
    """The `creationflags` that keep Windows from flashing a console window; 0 elsewhere."""
    if sys.platform == "win32":
        return subprocess.CREATE_NO_WINDOW
    else:  # noqa: RET505 - mypy calls code after a platform's return unreachable
        return 0


def start_group(
    command: str | Sequence[str], *, stdin: int, stdout: int | IO[bytes], stderr: int | IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a program in a group of its own, so that all that it starts ends with it: `end_group`.
    Raises OSError."""
    return subprocess.Popen(
        command,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=clean_environment(),
        start_new_session=True,
        creationflags=no_console(),
    )


def let_come_forward() -> None:
    """Pass on the right to raise a window to the front, which Windows gives to the program that the
    user is using. Does nothing elsewhere."""
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.user32.AllowSetForegroundWindow(ctypes.c_ulong(0xFFFFFFFF))  # ASFW_ANY


if sys.platform == "win32":

    def end_group(process: subprocess.Popen[bytes], *, at_once: bool) -> None:  # noqa: ARG001
        """End a process. Windows has neither a gentle way nor process groups."""
        process.kill()

    def has_exited(process: subprocess.Popen[bytes]) -> bool:
        """Whether a process has ended."""
        return process.poll() is not None
else:

    def end_group(process: subprocess.Popen[bytes], *, at_once: bool) -> None:
        """End the session that a process leads, by SIGTERM, or SIGKILL. Does nothing after the
        process was reaped."""
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL if at_once else signal.SIGTERM)

    def has_exited(process: subprocess.Popen[bytes]) -> bool:
        """Whether a process has ended. Where the system supports it, the process is not reaped, so
        that nothing else gets its PID."""
        if process.returncode is None and hasattr(os, "waitid"):  # macOS has it since Python 3.13
            try:
                options = os.WEXITED | os.WNOHANG | os.WNOWAIT
                return os.waitid(os.P_PID, process.pid, options) is not None
            except ChildProcessError:
                return True
        return process.poll() is not None
