"""Runs other programs: without a window, for a bounded time, never through a shell."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Sequence

from trayconnect.core.subprocesses import clean_environment, no_console

__all__ = [
    "ProgramError", "clean_environment", "launch", "no_console", "reap", "run", "text_environment",
]  # fmt: skip


class ProgramError(Exception):
    """A program could not be started, failed, or took too long; the text says which."""


def text_environment() -> dict[str, str]:
    """The environment for a program that exchanges text with us. Those of macOS (pbcopy, pbpaste,
    osascript) use the locale's encoding, which is not set for an app that starts at login."""
    environment = clean_environment()
    if sys.platform == "darwin":
        environment["LC_ALL"] = "en_US.UTF-8"
    return environment


def version(argv: Sequence[str], *, timeout: float) -> str:
    """The version output of a program, from stdout or stderr (as ssh), stripped. Raises
    `ProgramError` like `run`."""
    return _run(argv, b"", timeout, merged=True).decode(errors="replace").strip()


def run(argv: Sequence[str], *, stdin: bytes = b"", timeout: float) -> bytes:
    """Run a program to its end and return its output. Raises `ProgramError`, also after `timeout`
    seconds; the program is killed then."""
    return _run(argv, stdin, timeout, merged=False)


def _run(argv: Sequence[str], stdin: bytes, timeout: float, *, merged: bool) -> bytes:
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            env=text_environment(),
            timeout=timeout,
            creationflags=no_console(),
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise ProgramError(f"{argv[0]} did not finish within {timeout:g} s") from error
    except subprocess.CalledProcessError as error:
        message = error.stderr if error.stderr is not None else error.stdout
        text = message.decode(errors="replace").strip()[:500]
        raise ProgramError(f"{argv[0]} ended with status {error.returncode}: {text}") from error
    except OSError as error:
        raise ProgramError(f"{argv[0]} could not be started: {error.strerror}") from error
    return done.stdout


_lock = threading.Lock()
_launched: list[subprocess.Popen[bytes]] = []
"""Programs that still ran when `launch` returned; module-wide, because children belong to the
process."""


def launch(argv: Sequence[str], *, stdin: bytes = b"", grace: float = 3.0) -> None:
    """Start a program for the user that may outlive us (a browser, an editor), detached from our
    terminal and our signals.

    Waits for its end; a program that still runs after `grace` seconds counts as a success, because
    xdg-open stays in the foreground with some browsers. No thread waits for it further; a later
    launch reaps it. `stdin` must fit into a pipe (64 KiB). Raises `ProgramError`."""
    reap()
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=text_environment() if stdin else clean_environment(),
            start_new_session=True,
            creationflags=no_console(),
        )
    except OSError as error:
        raise ProgramError(f"{argv[0]} could not be started: {error.strerror}") from error
    if process.stdin is not None:
        # It may end without reading; its exit status decides.
        with contextlib.suppress(OSError), process.stdin as pipe:
            pipe.write(stdin)
    try:
        status = process.wait(grace)
    except subprocess.TimeoutExpired:
        with _lock:
            _launched.append(process)
        return
    if status != 0:
        raise ProgramError(f"{argv[0]} ended with status {status}")


def reap() -> None:
    """Reap launched programs that have ended."""
    with _lock:
        _launched[:] = [process for process in _launched if process.poll() is None]
