"""Shows a longer text in a window of its own, to read and to copy."""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import threading

from trayconnect.desktop import helpers, programs
from trayconnect.errors import Problem, ProblemError

logger = logging.getLogger(__name__)

_OPEN_AT_MOST = 10
_END_LIMIT = 5.0
_READ_LIMIT = 10.0


class TextViews:
    """Windows that stay until the user closes them, or the app ends.

    `command`: the helper, for tests."""

    def __init__(self, icon: str = "", command: list[str] | None = None) -> None:
        self._icon = icon
        self._command = command or helpers.helper_command(helpers.TEXT)
        self._lock = threading.Lock()
        self._open: list[subprocess.Popen[bytes]] = []
        self._closed = False

    def show(self, title: str, text: str, *, at_end: bool = False) -> None:
        """Open a window with that text, at its end if so asked; returns at once.

        Raises `ProblemError` where there can be no window."""
        if not (helpers.has_display() and helpers.has_tkinter()):
            raise ProblemError(_no_window("tkinter or a display is missing"))
        told = {"title": title, "text": text, "at_end": at_end, "icon": self._icon}
        data = json.dumps(told).encode() + b"\n"
        with self._lock:
            over = [window for window in self._open if window.poll() is not None]
            self._open = [window for window in self._open if window not in over]
            for window in over:
                _end(window)
            if self._closed:
                return
            if len(self._open) >= _OPEN_AT_MOST:
                _end(self._open.pop(0))
            try:
                window = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=helpers.helper_environment(),
                    creationflags=programs.no_console(),
                )
            except OSError as error:
                raise ProblemError(_no_window(str(error))) from error
            self._open.append(window)
        # The helper reads all of it before it does anything else; one that hangs is ended.
        guard = threading.Timer(_READ_LIMIT, window.kill)
        guard.name = "tc-text-guard"
        guard.start()
        assert window.stdin is not None
        try:
            window.stdin.write(data)  # it stays open: the window goes when it ends, as with us
            window.stdin.flush()
        except (OSError, ValueError) as error:  # ValueError: `close` was called meanwhile
            logger.warning("a window with a text ended at once: %s", error)
        finally:
            guard.cancel()
            guard.join()

    def close(self) -> None:
        """Close the windows and reap their processes. Never raises; may be called twice."""
        with self._lock:
            self._closed = True
            windows, self._open = self._open, []
        for window in windows:
            _end(window)


def _end(window: subprocess.Popen[bytes]) -> None:
    window.kill()
    assert window.stdin is not None
    with contextlib.suppress(OSError):
        window.stdin.close()
    try:
        window.wait(_END_LIMIT)
    except subprocess.TimeoutExpired:
        logger.warning("a window with a text does not end")


def _no_window(detail: str) -> Problem:
    return Problem(
        "No window can be shown",
        "Install python3-tk, or use the commands: trayconnect --help"
        if helpers.has_display()
        else "A window needs an X11 screen. Use the commands: trayconnect --help",
        detail=detail,
    )
