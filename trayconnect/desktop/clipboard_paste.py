"""Reads the clipboard."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping

from trayconnect.core.errors import Problem, ProblemError
from trayconnect.desktop import helper_process, programs
from trayconnect.desktop.clipboard import programs_to_install

_LIMIT = 10.0
_POWERSHELL = "[Console]::OutputEncoding = New-Object Text.UTF8Encoding $false; Get-Clipboard -Raw"
"""PowerShell writes in the console's encoding by default."""

FindProgram = Callable[[str], str | None]


def paste_command(
    platform: str, environ: Mapping[str, str], which: FindProgram
) -> list[str] | None:
    """The program that writes the clipboard's text to stdout, or None."""
    if platform == "darwin":
        return ["/usr/bin/pbpaste"]
    if platform == "win32":
        return ["powershell.exe", "-NoProfile", "-NonInteractive", "-Command", _POWERSHELL]
    if environ.get("WAYLAND_DISPLAY") and which("wl-paste"):
        return ["wl-paste", "--no-newline", "--type", "text/plain"]
    if environ.get("DISPLAY"):
        if which("xclip"):
            return ["xclip", "-selection", "clipboard", "-out"]
        if which("xsel"):
            return ["xsel", "--clipboard", "--output"]
    return None


def pasted(environ: Mapping[str, str] = os.environ, which: FindProgram = shutil.which) -> str:
    """The text on the clipboard. If no program can read it, a helper of ours does. Raises
    `ProblemError`."""
    command = paste_command(sys.platform, environ, which)
    if command is None and helper_process.can_show_windows():
        command = helper_process.helper_command(helper_process.PASTE)
    if command is None:
        raise _cannot_paste("no program for it was found")
    try:
        return programs.run(command, timeout=_LIMIT).decode("utf-8-sig", "replace")
    except programs.ProgramError as error:
        raise _cannot_paste(str(error)) from error


def _cannot_paste(detail: str) -> ProblemError:
    return ProblemError(
        Problem(
            "The clipboard could not be read",
            f"Copy the text again; or install {programs_to_install()}."
            if sys.platform == "linux"
            else "Copy the text again.",
            detail=detail,
        )
    )
