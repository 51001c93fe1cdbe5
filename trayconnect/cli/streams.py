"""Standard streams that accept every character.

On Windows, a console may have the 256 characters of an old code page, a pipe those of the user's
region, and a program without a console (pythonw) no streams at all."""

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
"""Replacements of characters that an encoding lacks."""


_lacking: set[str] = set()


def lacks(name: str) -> bool:
    """Whether that stream (stdin, stdout, stderr) was missing when `prepare` was called."""
    return name in _lacking


def prepare() -> None:
    """Call it before any output. Characters that the encoding lacks are replaced by similar ones or
    question marks; output to a missing stream is dropped."""
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
    """JSON for stdout, which a reader can parse in UTF-8 and in every code page of Windows."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    is_utf8 = encoding.lower().replace("-", "").replace("_", "") == "utf8"
    return json.dumps(data, indent=2, ensure_ascii=not is_utf8)


def is_gone(error: Exception) -> bool:
    """Whether `error` means that nobody reads stdout any more. Its number does not decide: Windows
    reports EINVAL, as for other errors."""
    is_gone = isinstance(error, BrokenPipeError)  # its text is dropped: a second flush succeeds
    if isinstance(error, OSError) and not is_gone:
        try:
            sys.stdout.flush()
        except (OSError, ValueError):
            is_gone = True
    if is_gone:
        _send_nowhere(sys.stdout)
    return is_gone


def tell(line: str) -> None:
    """Write a line to stderr. Does nothing if the console, or the program that started the app, is
    gone."""
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
