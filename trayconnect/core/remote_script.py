"""A script of POSIX sh as one command line, for the login shell of any account."""

from __future__ import annotations

import re

_COMMENT = re.compile(r"^[ \t]*(?:#.*)?\n", re.MULTILINE)
_ENCODED = re.compile(r"[\\'!\n]")
"""What the quotes of some shell do not protect: csh expands `!` and ends words at a line's end,
fish reads backslashes."""


def command(script: str) -> str:
    """The command line. An SSH server takes it with the request, but standard input only after it
    has granted a window for it: one round trip later.

    Comments must stand on lines of their own."""
    encoded = _ENCODED.sub(lambda found: f"\\0{ord(found[0]):03o}", _COMMENT.sub("", script))
    return f"exec sh -c 'eval \"$(printf %b \"$1\")\"' sh '{encoded}'"
