"""Consoles of Windows: starting the program without one, and cleaning up before one closes.

A Windows program either has a console, and ends with it, or has none and cannot print. So there are
two programs: `trayconnect` for the commands, `trayconnectw` for the icon. They differ in nothing
else."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from trayconnect.desktop.programs import ProgramError, clean_environment

CONSOLE, WINDOWED = "trayconnect", "trayconnectw"
START_LIMIT = 30.0
"""Seconds: the first start after an installation waits for the virus scanner."""
_POLL_PAUSE = 0.2


def windowed_program() -> Path | None:
    """The program that should run the icon, if this process has a console."""
    if sys.platform == "win32":
        return beside(Path(sys.executable if getattr(sys, "frozen", False) else sys.argv[0]))
    else:  # noqa: RET505 - mypy calls code after a platform's return unreachable
        return None


def beside(started: Path, is_file: Callable[[Path], bool] = Path.is_file) -> Path | None:
    """The program without a console that belongs to `started`, the one with a console."""
    windowed = started.with_name(f"{WINDOWED}.exe")
    is_console = started.name.lower() in (CONSOLE, f"{CONSOLE}.exe")  # pip's launcher omits .exe
    return windowed if is_console and is_file(windowed) else None


def start(command: Sequence[str], is_up: Callable[[], bool]) -> int | None:
    """Start a program that outlives this console. Returns its exit code if it ended at once, or
    None as soon as it `is_up`. Raises `ProgramError` if it cannot be started, and after
    `START_LIMIT`, when it may continue."""
    try:
        # Without standard streams: those of a console would end with it.
        process = subprocess.Popen(command, env=clean_environment(), creationflags=_detached())
    except OSError as error:
        raise ProgramError(f"{command[0]} could not be started: {error.strerror}") from error
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        try:
            return process.wait(_POLL_PAUSE)
        except subprocess.TimeoutExpired:
            if is_up():
                return None
    raise ProgramError(f"{command[0]} did not answer within {START_LIMIT:g} s")


def _detached() -> int:
    if sys.platform == "win32":
        return subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
    else:  # noqa: RET505 - mypy calls code after a platform's return unreachable
        return 0


def show_message(title: str, advice: str) -> None:
    """Windows: show a problem in a message box, until the user closes it."""
    if sys.platform == "win32":
        error_sign, in_front = 0x10, 0x10000
        text = f"{title}\n\n{advice}" if advice else title
        ctypes.windll.user32.MessageBoxW(None, text, "trayconnect", error_sign | in_front)


# Windows ends the process as soon as the handler has returned, or after 5 seconds
# (https://learn.microsoft.com/windows/console/handlerroutine). It reports a logout here only until
# the process has loaded user32.dll, and then by a message to its windows: the icon gets it (see
# `tray.backends.win32`), `trayconnect run --no-tray` may not.
CLOSE, LOGOFF, SHUTDOWN = 2, 5, 6
"""CTRL_CLOSE_EVENT and so on; Python makes signals of the others."""


def answer(event: int, on_end: Callable[[], object]) -> bool:
    """Call `on_end` if the console ends. Returns whether nothing else is to handle the event."""
    if event not in (CLOSE, LOGOFF, SHUTDOWN):
        return False
    on_end()
    return True


@contextmanager
def before_console_ends(on_end: Callable[[], object]) -> Iterator[None]:
    """Call `on_end`, on a thread of the system, if the console is closed during the block."""
    if sys.platform == "win32":
        import ctypes
        from ctypes import wintypes

        kind = ctypes.WINFUNCTYPE(wintypes.BOOL, wintypes.DWORD)
        handler = kind(lambda event: answer(event, on_end))
        kernel32 = ctypes.WinDLL("kernel32")
        kernel32.SetConsoleCtrlHandler(handler, True)
        try:
            yield
        finally:
            kernel32.SetConsoleCtrlHandler(handler, False)
    else:
        yield
