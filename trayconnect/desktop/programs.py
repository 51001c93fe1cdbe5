"""Runs other programs: without a window, for a bounded time, never through a shell."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

from trayconnect.core.subprocesses import clean_environment, no_console
from trayconnect.core.threads import Timer

__all__ = [
    "ProgramError", "clean_environment", "launch", "no_console", "run", "stop_watching",
    "text_environment",
]  # fmt: skip

_POLL_SECONDS = 2.0
_STOP_LIMIT = 5.0


class ProgramError(Exception):
    """A program could not be started, failed, or took too long; the text says which."""


OnFailure = Callable[[ProgramError], object]


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


def launch(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    grace: float = 3.0,
    on_failure: OnFailure = lambda _: None,
) -> None:
    """Start a program for the user that may outlive us (a browser, an editor), detached from our
    terminal and our signals.

    Waits for its end. A program that still runs after `grace` seconds counts as a success, because
    xdg-open stays in the foreground with some browsers; if it fails later, `on_failure` is called
    on the thread of timers, so it must be quick. A program that a signal ends has not failed: the
    user may have ended it. `stdin` must fit into a pipe (64 KiB). Raises `ProgramError`."""
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
        _launched.watch(argv[0], process, on_failure)
        return
    if status != 0:
        raise _failed(argv[0], status)


def stop_watching() -> None:
    """Leave the launched programs alone, and join the thread that watches them."""
    _launched.stop()


def _failed(program: str, status: int) -> ProgramError:
    return ProgramError(f"{program} ended with status {status}")


class _Launched:
    """Programs that still ran when `launch` returned; module-wide, because children belong to the
    process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: list[tuple[str, subprocess.Popen[bytes], OnFailure]] = []
        self._timer: Timer | None = None

    def watch(self, program: str, process: subprocess.Popen[bytes], on_failure: OnFailure) -> None:
        with self._lock:
            self._running.append((program, process, on_failure))
            self._timer = self._timer or Timer(self._look)
            with contextlib.suppress(RuntimeError):  # no more threads: its end is not noticed
                self._timer.set(_POLL_SECONDS)

    def stop(self) -> None:
        with self._lock:
            timer, self._timer = self._timer, None
            self._running.clear()
        if timer is not None:
            timer.stop(_STOP_LIMIT)

    def _look(self) -> None:
        with self._lock:
            ended = [one for one in self._running if one[1].poll() is not None]
            self._running = [one for one in self._running if one not in ended]
            if self._running and self._timer is not None:
                self._timer.set(_POLL_SECONDS)
        for program, process, on_failure in ended:
            if process.returncode > 0:
                on_failure(_failed(program, process.returncode))


_launched = _Launched()
