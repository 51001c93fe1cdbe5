"""Reads several lines from the terminal at stdin without echo."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

if sys.platform == "win32":
    import ctypes
    import msvcrt

    _ENABLE_ECHO_INPUT = 4

    @contextmanager
    def without_echo(stream: TextIO) -> Iterator[None]:
        """Turn off the echo of `stream` within the block."""
        kernel = ctypes.windll.kernel32
        handle = msvcrt.get_osfhandle(stream.fileno())
        mode = ctypes.c_ulong()
        kernel.GetConsoleMode(handle, ctypes.byref(mode))
        kernel.SetConsoleMode(handle, mode.value & ~_ENABLE_ECHO_INPUT)
        try:
            yield
        finally:
            kernel.SetConsoleMode(handle, mode.value)
else:
    import termios

    @contextmanager
    def without_echo(stream: TextIO) -> Iterator[None]:
        """Turn off the echo of `stream` within the block."""
        before = termios.tcgetattr(stream.fileno())
        during = list(before)
        during[3] &= ~termios.ECHO
        termios.tcsetattr(stream.fileno(), termios.TCSADRAIN, during)
        try:
            yield
        finally:
            # FLUSH: the rest of a paste must not become a command of the shell.
            termios.tcsetattr(stream.fileno(), termios.TCSAFLUSH, before)


def read_unseen(
    stream: TextIO, prompt: Callable[[], None], is_last: Callable[[str], bool], most: int
) -> str:
    """Lines up to the last one, or the end of the input, or somewhat more than `most` characters.
    `prompt` is called once the echo is off."""
    text = ""
    with without_echo(stream):
        prompt()
        while len(text) <= most and (line := stream.readline()):
            text += line
            if is_last(line):
                break
    return text
