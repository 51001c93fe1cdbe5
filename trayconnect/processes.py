"""Processes that are not ours: how they are started and ended on each platform."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

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
    """A path of ours as other programs find it. Windows redirects what Python from the Microsoft
    Store writes below AppData, and shows it to that Python alone in the place that it named."""
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


def let_come_forward() -> None:
    """Pass on the right to come before other windows, which Windows gives to the program that the
    user is using. Does nothing elsewhere."""
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.user32.AllowSetForegroundWindow(ctypes.c_ulong(0xFFFFFFFF))  # ASFW_ANY


if sys.platform == "win32":

    def end_group(process: subprocess.Popen[bytes], *, at_once: bool) -> None:  # noqa: ARG001
        """End a process; Windows knows no gentle way, and no groups."""
        process.kill()

    def has_exited(process: subprocess.Popen[bytes]) -> bool:
        """Whether a process is over."""
        return process.poll() is not None
else:

    def end_group(process: subprocess.Popen[bytes], *, at_once: bool) -> None:
        """End a process that leads a session of its own, and what it started there: by SIGTERM,
        or SIGKILL. Nothing happens once it is reaped."""
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL if at_once else signal.SIGTERM)

    def has_exited(process: subprocess.Popen[bytes]) -> bool:
        """Whether a process is over; where the system can tell, without reaping it, so that its
        number stays its own."""
        if process.returncode is None and hasattr(os, "waitid"):  # macOS has it since Python 3.13
            try:
                options = os.WEXITED | os.WNOHANG | os.WNOWAIT
                return os.waitid(os.P_PID, process.pid, options) is not None
            except ChildProcessError:
                return True
        return process.poll() is not None
