"""The user's editor for text files."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.subprocesses import path_for_others
from trayconnect.desktop import openers, programs


def open_in_editor(path: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Open `path` in the desktop's default program. Returns when the opener has ended, or after a
    few seconds. Raises `ProblemError`."""
    target = str(path_for_others(path.absolute()))
    if sys.platform == "win32":
        _start_file(target)
    else:
        _launch(target, environ)


def _launch(target: str, environ: Mapping[str, str]) -> None:
    failures = []
    for command in openers.file_commands(target, sys.platform, environ, shutil.which):
        try:
            programs.launch(command)
        except programs.ProgramError as error:
            failures.append(str(error))
        else:
            return
    raise _cannot_edit(target, "; ".join(failures) or "no program was found")


def _start_file(target: str) -> None:
    if sys.platform == "win32":
        try:
            os.startfile(target)  # noqa: S606 - our own file
        except OSError:  # no program for this kind of file
            try:
                os.startfile("notepad.exe", arguments=f'"{target}"')  # noqa: S606
            except OSError as error:
                raise _cannot_edit(target, str(error)) from error


def _cannot_edit(target: str, detail: str) -> ProblemError:
    return ProblemError(
        Problem("No editor could be opened", f"Edit {target} yourself.", detail=detail)
    )
