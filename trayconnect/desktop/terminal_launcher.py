"""Opens a window of the system's terminal program and runs a command in it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from trayconnect.core.errors import Problem, ProblemError
from trayconnect.desktop import programs
from trayconnect.desktop.default_programs import FindProgram, OnFailure, has_screen

_PREFIX = "trayconnect-terminal-"
_STALE = 3600.0
"""Seconds after which a script that no terminal ran is removed."""
_GRACE = 1.0
_SSH_FAILED = 255


_TERMINALS: Mapping[str, tuple[str, ...]] = {
    "xdg-terminal-exec": (),
    "x-terminal-emulator": ("-e",),
    "gnome-terminal": ("--",),
    "ptyxis": ("--",),
    "kgx": ("--",),
    "konsole": ("-e",),
    "xfce4-terminal": ("-x",),
    "mate-terminal": ("-x",),
    "qterminal": ("-e",),
    "lxterminal": ("-e",),
    "tilix": ("-e",),
    "terminator": ("-x",),
    "kitty": (),
    "alacritty": ("-e",),
    "foot": (),
    "wezterm": ("start", "--"),
    "ghostty": ("-e",),
    "urxvt": ("-e",),
    "st": ("-e",),
    "xterm": ("-e",),
}
"""Terminal programs, and the options between their name and the command to run."""
_OF_DESKTOPS = (
    ("GNOME", ("gnome-terminal", "ptyxis", "kgx")),
    ("KDE", ("konsole",)),
    ("XFCE", ("xfce4-terminal",)),
    ("MATE", ("mate-terminal",)),
    ("LXQt", ("qterminal",)),
    ("LXDE", ("lxterminal",)),
)


def terminal_commands(
    script: str, platform: str, environ: Mapping[str, str], which: FindProgram
) -> list[list[str]]:
    """Commands that open a terminal which runs a sh script; installed programs only.

    The script's path is the only argument, because some terminals join several arguments to a line
    for a shell."""
    if platform == "darwin":
        return [["/usr/bin/open", script]]  # Terminal, or its replacement, opens a .command
    if not has_screen(environ):
        return []
    preferred = environ.get("TERMINAL", "")
    desktop = environ.get("XDG_CURRENT_DESKTOP", "").split(":")
    own = [name for key, names in _OF_DESKTOPS if key in desktop for name in names]
    names = dict.fromkeys(
        [preferred, "xdg-terminal-exec", "x-terminal-emulator", *own, *_TERMINALS]
    )
    return [
        [name, *_TERMINALS.get(name.rpartition("/")[2], ("-e",)), script]
        for name in names
        if name and which(name)
    ]


def open_terminal(
    command: Sequence[str],
    environ: Mapping[str, str] = os.environ,
    on_failure: OnFailure = lambda _: None,
) -> None:
    """Open a terminal in which `command` runs; a shell treats its arguments as quoted words.

    Returns when the opener has ended, or after a second. Raises `ProblemError`."""
    if sys.platform == "win32":
        _open_console(command)
    else:
        _open_window(command, environ, on_failure)


def script_of(command: Sequence[str]) -> str:
    """The script for a terminal: it removes itself, and keeps the window open after a failure so
    that the user can read the message."""
    return (
        "#!/bin/sh\n"
        'rm -f -- "$0"; rmdir -- "${0%/*}"\n'
        f"{shlex.join(command)}\n"
        "status=$?\n"
        f"[ $status -eq {_SSH_FAILED} ] || exit $status\n"
        "printf '\\nPress Enter to close this window. '\n"
        "read -r _\n"
    )


def _open_window(command: Sequence[str], environ: Mapping[str, str], on_failure: OnFailure) -> None:
    def on_late_failure(script: Path, error: programs.ProgramError) -> None:
        # The script removes itself: after that, the status is that of `command`.
        if script.exists():
            on_failure(_none(command, str(error)))

    failures = []
    base = Path(environ.get("XDG_RUNTIME_DIR", "")) if environ.get("XDG_RUNTIME_DIR") else None
    _remove_stale(base)
    for number, name in enumerate(_candidates(environ)):
        try:
            script = _write(command, base)
            programs.launch(
                [*name, str(script)], grace=_GRACE, on_failure=partial(on_late_failure, script)
            )
        except (programs.ProgramError, OSError) as error:
            failures.append(f"{number + 1}: {error}")
        else:
            return
    raise ProblemError(_none(command, "; ".join(failures) or "no terminal program was found"))


def _candidates(environ: Mapping[str, str]) -> list[list[str]]:
    found = terminal_commands("", sys.platform, environ, shutil.which)
    return [words[:-1] for words in found]


def _write(command: Sequence[str], base: Path | None) -> Path:
    """In a private folder of its own. Raises OSError."""
    where = base if base is not None and _may_run_programs(base) else None
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=where))
    script = folder / "ssh.command"
    script.touch(0o700)
    script.write_bytes(os.fsencode(script_of(command)))
    return script


def _may_run_programs(folder: Path) -> bool:
    """Some systems mount XDG_RUNTIME_DIR noexec."""
    return folder.is_dir() and not (
        sys.platform == "linux" and os.statvfs(folder).f_flag & os.ST_NOEXEC
    )


def _remove_stale(base: Path | None) -> None:
    for place in filter(None, (base, Path(tempfile.gettempdir()))):
        for folder in place.glob(f"{_PREFIX}*"):
            try:
                if time.time() - folder.lstat().st_mtime > _STALE and not folder.is_symlink():
                    shutil.rmtree(folder, ignore_errors=True)
            except OSError:
                continue


def _open_console(command: Sequence[str]) -> None:
    """Windows opens the terminal that the user has chosen for console programs."""
    if sys.platform == "win32":
        try:
            subprocess.Popen(
                list(command),
                env=programs.clean_environment(),
                creationflags=subprocess.CREATE_NEW_CONSOLE,
            )
        except OSError as error:
            raise ProblemError(_none(command, str(error))) from error


def _none(command: Sequence[str], detail: str) -> Problem:
    return Problem(
        "No terminal could be opened",
        f"Run this in a terminal instead:\n{shlex.join(command)}",
        detail=detail,
    )
