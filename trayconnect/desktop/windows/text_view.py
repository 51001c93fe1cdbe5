"""Shows a longer text in a window of its own, to read and to copy."""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
import threading

from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.threads import deadline
from trayconnect.desktop import helper_process

logger = logging.getLogger(__name__)

_OPEN_AT_MOST = 10
_END_LIMIT = 5.0
_READ_LIMIT = 10.0


class TextViews:
    """Windows that stay until the user closes them, or the app ends.

    `command`: the helper, for tests."""

    def __init__(self, icon: str = "", command: list[str] | None = None) -> None:
        self._icon = icon
        self._command = command or helper_process.helper_command(helper_process.TEXT)
        self._lock = threading.Lock()
        self._open: list[subprocess.Popen[bytes]] = []
        self._closed = False

    def show(self, title: str, text: str, *, at_end: bool = False) -> None:
        """Open a window with that text, scrolled to its end if `at_end`; returns at once.

        Raises `ProblemError` if no window can be shown."""
        if not helper_process.can_show_windows():
            raise ProblemError(_no_window("tkinter or a display is missing"))
        content = {"title": title, "text": text, "at_end": at_end, "icon": self._icon}
        data = json.dumps(content).encode() + b"\n"
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
                window = helper_process.start(
                    self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            except OSError as error:
                raise ProblemError(_no_window(str(error))) from error
            self._open.append(window)
        assert window.stdin is not None
        try:
            # The pipe stays open: the window closes when it ends, as it does with the app.
            with deadline(_READ_LIMIT, window.kill):
                window.stdin.write(data)
                window.stdin.flush()
        except (OSError, ValueError) as error:  # ValueError: `close` was called meanwhile
            logger.warning("a window with a text ended at once: %s", error)

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
        if helper_process.has_display()
        else "A window needs an X11 screen. Use the commands: trayconnect --help",
        detail=detail,
    )
