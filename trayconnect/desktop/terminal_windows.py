"""The Windows console (`msvcrt`), which offers no waiting, so it is polled."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from trayconnect.core.cancellation import CancelToken
from trayconnect.desktop.prompts.prompt_text import LONGEST_VALUE

_STEP = 0.05
LONGEST_TEXT = 2 * LONGEST_VALUE

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
