"""The clipboard. Text reaches it only through pipes, because links may contain tokens."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping

from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.threads import deadline
from trayconnect.desktop import helper_process, programs

_COPY_LIMIT = 5.0
_PASTE_LIMIT = 10.0
_OWNER_START = 15.0

FindProgram = Callable[[str], str | None]


def clipboard_command(
    platform: str, environ: Mapping[str, str], which: FindProgram
) -> list[str] | None:
    """The program that reads text from stdin and serves it, or None.

    wl-copy, xclip and xsel leave a process behind that ends when something else is copied."""
    if platform == "darwin":
        return ["/usr/bin/pbcopy"]
    if platform == "win32":
        return ["clip.exe"]
    if environ.get("WAYLAND_DISPLAY") and which("wl-copy"):
        return ["wl-copy", "--type", "text/plain"]
    if environ.get("DISPLAY"):
        if which("xclip"):
            return ["xclip", "-selection", "clipboard", "-in"]
        if which("xsel"):
            return ["xsel", "--clipboard", "--input"]
    return None


def programs_to_install(environ: Mapping[str, str] = os.environ) -> str:
    """The packages with a copy program for the current display."""
    return "wl-clipboard" if environ.get("WAYLAND_DISPLAY") else "xclip"


class Clipboard:
    """Copies text; without a copy program, a helper of ours owns the selection for a while."""

    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        which: FindProgram = shutil.which,
        on_failure: Callable[[Problem], object] = lambda _: None,
    ) -> None:
        """`on_failure` is called when the copy program fails after `copy` has returned."""
        self._on_failure = on_failure
        self._environ = environ
        self._which = which
        self._lock = threading.Lock()
        self._owner: subprocess.Popen[bytes] | None = None

    def copy(self, text: str) -> None:
        """Put `text` on the clipboard. Raises `ProblemError`."""
        command = clipboard_command(sys.platform, self._environ, self._which)
        with self._lock:
            self._end_owner()
            if command is not None:
                self._feed(command, text)
            elif helper_process.can_show_windows():
                self._owner = _start_owner(text)
            else:
                raise _cannot_copy("no program for it was found")

    def close(self) -> None:
        """End our helper. Never raises; may be called twice."""
        with self._lock:
            self._end_owner()

    def _feed(self, command: list[str], text: str) -> None:
        # clip.exe reads the console's code page, or UTF-16 if a byte order mark is present.
        encoding = "utf-16" if sys.platform == "win32" else "utf-8"
        try:
            programs.launch(
                command,
                stdin=text.encode(encoding),
                grace=_COPY_LIMIT,
                on_failure=lambda error: self._on_failure(_cannot_copy(str(error)).problem),
            )
        except programs.ProgramError as error:
            raise _cannot_copy(str(error)) from error

    def _end_owner(self) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            with owner:
                owner.kill()


def _start_owner(text: str) -> subprocess.Popen[bytes]:
    """Start the helper. Returns when it owns the selection."""
    try:
        command = helper_process.helper_command(helper_process.CLIPBOARD)
        owner = helper_process.start(command, stderr=subprocess.DEVNULL)
    except OSError as error:
        raise _cannot_copy(str(error)) from error
    assert owner.stdin is not None
    assert owner.stdout is not None
    try:
        with deadline(_OWNER_START, owner.kill):
            with owner.stdin as pipe:
                pipe.write(text.encode())
            ready = owner.stdout.readline()
    except OSError:
        ready = b""
    if ready != b"ready\n":
        with owner:
            owner.kill()
        raise _cannot_copy("the helper could not take the selection")
    return owner


def _cannot_copy(detail: str) -> ProblemError:
    return ProblemError(
        Problem(
            "The text could not be copied",
            f"Install {programs_to_install()}."
            if sys.platform == "linux"
            else "Another program may be holding the clipboard; try again.",
            detail=detail,
        )
    )


_POWERSHELL = "[Console]::OutputEncoding = New-Object Text.UTF8Encoding $false; Get-Clipboard -Raw"
"""PowerShell writes in the console's encoding by default."""


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
        return programs.run(command, timeout=_PASTE_LIMIT).decode("utf-8-sig", "replace")
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
