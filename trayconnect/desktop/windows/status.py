"""A small window that shows what the menu shows: for users who ask for it, and where there is no
icon."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from trayconnect.core.command import Command
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.subprocesses import let_come_forward
from trayconnect.desktop import helper_process, programs
from trayconnect.desktop.windows import status_wire
from trayconnect.desktop.windows.status_wire import Icons, StatusPage

log = logging.getLogger(__name__)

JOIN_LIMIT = 10.0
END_LIMIT = 3.0
"""Seconds for a process to end after its window was closed."""


class StatusWindow:
    """The window, in a process of its own: closed and shown again as often as wanted.

    `on_command` is called with the command of a clicked button, on a thread of the window, which
    lets the next click wait. `command`: the helper, for tests."""

    def __init__(
        self,
        on_command: Callable[[Command], object],
        icons: Callable[[], Icons] = dict,
        window_icon: Path | None = None,
        command: list[str] | None = None,
    ) -> None:
        self._on_command = on_command
        self._icons = icons
        self._window_icon = str(window_icon) if window_icon else ""
        self._command = command or helper_process.helper_command(helper_process.STATUS)
        self._lock = threading.Lock()
        self._page = StatusPage()
        self._shown: _Shown | None = None
        self._over: list[_Shown] = []
        """Closed by the user, and perhaps with a command that is still carried out."""

    def show(self) -> None:
        """Open it, or bring it to the front; returns at once. Raises `ProblemError`."""
        with self._lock:
            before = self._shown
            if before is None or not before.is_alive:
                self._shown = self._start()
                self._over = [one for one in (*self._over, before) if one and one.is_busy]
            assert self._shown is not None
            let_come_forward()
            self._shown.send(self._page, front=True)

    def update(self, page: StatusPage) -> None:
        """Show that from now on; returns at once, and opens nothing."""
        with self._lock:
            self._page = page
            if self._shown is not None:
                self._shown.send(page, front=False)

    @property
    def is_open(self) -> bool:
        with self._lock:
            return self._shown is not None and self._shown.is_alive

    def close(self) -> None:
        """Take it away. Never raises; may be called twice."""
        with self._lock:
            windows = [*self._over, self._shown]
            self._over, self._shown = [], None
        for window in windows:  # not under the lock: a command that is carried out may want it
            if window is not None:
                window.end()

    def _start(self) -> _Shown:
        if not helper_process.has_display():
            raise ProblemError(_no_display())
        if not helper_process.has_tkinter():
            raise ProblemError(_no_tk())
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=helper_process.helper_environment(),
                creationflags=programs.no_console(),
            )
        except OSError as error:
            raise ProblemError(_cannot_start(error)) from error
        return _Shown(process, self._first, self._on_command)

    def _first(self) -> bytes:
        """The first message. It takes a while to draw."""
        return status_wire.encode_icons(self._icons(), self._window_icon)


class _Shown:
    """One life of the window: a process, and a thread each for what goes in and what comes out."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        first: Callable[[], bytes],
        on_command: Callable[[Command], object],
    ) -> None:
        self._process = process
        self._first = first
        self._on_command = on_command
        self._changed = threading.Condition()
        self._next: StatusPage | None = None
        self._front = False
        self._ended = False
        self._threads = [
            threading.Thread(target=self._write, name="tc-status-write", daemon=True),
            threading.Thread(target=self._read, name="tc-status-read", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_alive(self) -> bool:
        """Not once its process has ended: the reader hears of that late, if it carries out a
        command."""
        with self._changed:
            return not self._ended and self._process.poll() is None

    @property
    def is_busy(self) -> bool:
        """Whether a thread of it is left."""
        return any(thread.is_alive() for thread in self._threads)

    def send(self, page: StatusPage, *, front: bool) -> None:
        """Of pages that come faster than they are taken, the last one counts."""
        with self._changed:
            self._next = page
            self._front |= front
            self._changed.notify()

    def end(self) -> None:
        self._leave()
        self._process.kill()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(JOIN_LIMIT)

    def _leave(self) -> bool:
        """Take nothing more. Returns whether that was so already."""
        with self._changed:
            before, self._ended = self._ended, True
            self._changed.notify()
            return before

    def _write(self) -> None:
        assert self._process.stdin is not None
        # It may be gone at any time, and then its reader says so; closing tells it to go.
        with contextlib.suppress(OSError), self._process.stdin as pipe:
            pipe.write(self._first())
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._ended or self._next is not None)
                    page, self._next = self._next, None
                    front, self._front = self._front, False
                    if self._ended or page is None:
                        return
                pipe.write(status_wire.encode_page(page, front=front))
                pipe.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            for line in pipe:
                try:
                    self._on_command(status_wire.decode_click(line))
                except ValueError as error:
                    log.warning("the status window sent nonsense: %s", error)
                except Exception:  # a click that fails must not end the next ones
                    log.exception("a command of the status window failed")
        was_asked = self._leave()
        try:
            status = self._process.wait(END_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        if status != 0 and not was_asked:
            log.warning("the status window ended with status %d", status)


def _no_tk() -> Problem:
    return Problem(
        "The status window needs Tk",
        "Install it (on Debian and Ubuntu: python3-tk). The commands work without it: "
        "trayconnect --help",
    )


def _no_display() -> Problem:
    return Problem(
        "There is no X11 screen for the status window",
        "The commands work without it: trayconnect --help",
    )


def _cannot_start(error: OSError) -> Problem:
    return Problem(
        "The status window cannot be started",
        "The commands work without it: trayconnect --help",
        detail=str(error),
    )
