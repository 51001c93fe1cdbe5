"""Terminals whose reads can be cancelled: POSIX (termios(3), tty(4)), and the Windows console
(`msvcrt`), which offers no waiting, so it is polled."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from trayconnect.core.cancellation import CancelToken
from trayconnect.desktop.events.watching import Waker
from trayconnect.desktop.prompts.prompt_text import LONGEST_VALUE

LONGEST_LINE = 4096
LONGEST_TEXT = 2 * LONGEST_VALUE

if sys.platform != "win32":
    import termios

    class PosixTerminal:
        """The terminal itself edits the line, and Control-C remains a signal to the app."""

        def __init__(self, path: str = "/dev/tty") -> None:
            """Raises OSError, also while this process is in the terminal's background."""
            self._tty = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
            try:
                self._need_foreground()
            except OSError:
                os.close(self._tty)
                raise

        def write(self, text: str) -> None:
            data = text.encode(errors="replace")
            while data:
                data = data[os.write(self._tty, data) :]

        def read_lines(
            self, is_last: Callable[[str], bool], *, echo: bool, cancel: CancelToken, limit: float
        ) -> list[str] | None:
            self._need_foreground()
            deadline = time.monotonic() + limit
            lines: list[str] = []
            waker = Waker()
            try:
                with cancel.releasing(waker.wake), self._mode(echo=echo):
                    while not (lines and is_last(lines[-1])):
                        line = self._read(waker, cancel, deadline)
                        if line is None:
                            return lines or None
                        lines.append(line)
                        if sum(map(len, lines)) > LONGEST_TEXT:
                            raise OSError("the text is too long")
                    return lines
            finally:
                waker.close()

        def close(self) -> None:
            os.close(self._tty)

        def _read(self, waker: Waker, cancel: CancelToken, deadline: float) -> str | None:
            line = b""
            watched = (self._tty, waker.fileno())
            while len(line) < LONGEST_LINE:
                remaining = max(0.0, deadline - time.monotonic())
                ready, _, _ = select.select(watched, [], [], remaining)
                cancel.check()
                if not ready:
                    raise TimeoutError("no answer")
                chunk = os.read(
                    self._tty, LONGEST_LINE
                )  # the limit of one line only (termios(3), ICANON)
                line += chunk
                if line.endswith(b"\n"):
                    return line.removesuffix(b"\n").decode(errors="replace")
                if not chunk:  # Control-D
                    return None
            raise OSError("the line is too long")

        @contextmanager
        def _mode(self, *, echo: bool) -> Iterator[None]:
            try:
                before = termios.tcgetattr(self._tty)
                during = list(before)
                during[3] |= termios.ICANON | termios.ISIG | termios.ECHO
                if not echo:
                    during[3] &= ~termios.ECHO
                    during[3] |= termios.ECHONL
                # FLUSH: keys that were typed before the question do not answer it.
                termios.tcsetattr(self._tty, termios.TCSAFLUSH, during)
            except termios.error as error:
                raise OSError(*error.args) from error
            try:
                yield
            finally:
                with suppress(termios.error):  # the terminal hung up, and the read reported it
                    termios.tcsetattr(self._tty, termios.TCSAFLUSH, before)

        def _need_foreground(self) -> None:
            """Changing the terminal from the background would stop the whole process (SIGTTOU)."""
            try:
                foreground = os.tcgetpgrp(self._tty)
            except OSError:
                return  # not our controlling terminal: it sends us no signals
            if foreground != os.getpgrp():
                raise OSError("running in the background of the terminal")


_STEP = 0.05
if sys.platform == "win32":
    import msvcrt

    class WindowsTerminal:
        """Reads key by key, with its own echo and backspace."""

        def __init__(self) -> None:
            self._screen = open("CONOUT$", "w", encoding="utf-8")  # noqa: SIM115, PTH123

        def write(self, text: str) -> None:
            self._screen.write(text)
            self._screen.flush()

        def read_lines(
            self, is_last: Callable[[str], bool], *, echo: bool, cancel: CancelToken, limit: float
        ) -> list[str] | None:
            while msvcrt.kbhit():
                msvcrt.getwch()
            deadline = time.monotonic() + limit
            lines: list[str] = []
            while not (lines and is_last(lines[-1])):
                line = self._read_line(cancel, deadline, echo=echo)
                if line is None:
                    return lines or None
                lines.append(line)
                if sum(map(len, lines)) > LONGEST_TEXT:
                    raise OSError("the text is too long")
            return lines

        def _read_line(self, cancel: CancelToken, deadline: float, *, echo: bool) -> str | None:
            line = ""
            while True:
                if not msvcrt.kbhit():
                    cancel.wait(_STEP)
                    cancel.check()
                    if time.monotonic() > deadline:
                        raise TimeoutError("no answer")
                    continue
                key = msvcrt.getwch()
                if key in "\r\n":
                    self.write("\n")
                    return line
                if key == "\x1a":  # Control-Z
                    return None
                if key in "\x00\xe0":  # the first half of a function key
                    msvcrt.getwch()
                elif key == "\b":
                    if line and echo:
                        self.write("\b \b")
                    line = line[:-1]
                elif key.isprintable():
                    line += key
                    if echo:
                        self.write(key)

        def close(self) -> None:
            self._screen.close()
