"""Temporary unnamed files for the output of another program.

A child that the program leaves running could keep a pipe open without end; a file has no such end
to wait for."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import IO

_ROOM = 64 << 10

if sys.platform == "linux":

    def scratch() -> IO[bytes]:
        """An unnamed file."""
        # In memory: no disk has to have room for it.
        return os.fdopen(os.memfd_create("trayconnect"), "w+b")
else:

    def scratch() -> IO[bytes]:
        """An unnamed file."""
        return tempfile.TemporaryFile()


def check_room(file: IO[bytes]) -> None:
    """Raise OSError if the file cannot grow: it may have been too short for what was written."""
    file.seek(0, os.SEEK_END)
    file.write(bytes(_ROOM))
    file.flush()
