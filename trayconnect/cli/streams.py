"""The standard streams, made to take whatever is written to them.

On Windows a console may have the 256 characters of an old code page, a pipe those of its region,
and a program without a console (pythonw) has no streams at all.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import sys
from typing import TextIO

_ERRORS = "trayconnect.plain"
_PLAIN = {
    "→": "->", "←": "<-", "…": "...", "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'",
    "–": "-", "—": "-", "•": "*", "·": "-", "⚠": "!", "»": ">>", "«": "<<", "›": ">",
    "\N{NO-BREAK SPACE}": " ",
}  # fmt: skip
"""What stands for a character where an encoding has none for it."""


_lacking: set[str] = set()


def lacks(name: str) -> bool:
    """Whether there was no such stream (stdin, stdout, stderr) when `prepare` was called."""
    return name in _lacking


def prepare() -> None:
    """To be called before anything is written. A character that the encoding lacks is written as
    similar ones, or as a question mark; what is written to a missing stream is dropped."""
    codecs.register_error(_ERRORS, _plainly)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            _lacking.add(name)
            nowhere = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115, PTH123 - stays open
            setattr(sys, name, nowhere)
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


def as_json(data: object) -> str:
    """For stdout, whatever its encoding: a reader gets the same data in UTF-8 and in any code page
    of Windows."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    is_utf8 = encoding.lower().replace("-", "").replace("_", "") == "utf8"
    return json.dumps(data, indent=2, ensure_ascii=not is_utf8)


def is_gone(error: Exception) -> bool:
    """Whether `error` means that nobody reads stdout any more. Its number does not tell: Windows
    gives EINVAL, as for much else."""
    if not isinstance(error, OSError):
        return False
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _send_nowhere(sys.stdout)
        return True
    return False


def tell(line: str) -> None:
    """Write a line to stderr. Nothing happens where nobody reads it: the console, or the program
    that started the app, may be gone."""
    try:
        print(line, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        _send_nowhere(sys.stderr)


def _send_nowhere(stream: TextIO) -> None:
    with contextlib.suppress(OSError, ValueError):  # else the interpreter complains at its end
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)


def _plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(_PLAIN.get(each, "?") for each in characters), error.end
