"""How a script of POSIX sh gets to a server: as the standard input of a command of one word."""

from __future__ import annotations

COMMAND = "sh"
"""What stands between a server and a shell (ForceCommand, `command=` of authorized_keys) splits the
command line into words, puts it behind a program of its own (`docker exec -i box`), compares it,
cuts it or logs it. A script in the command line would not survive that, and every user of the
server could read it."""

_BEGIN = "\n\n\ncase ${OSTYPE-} in msys*) echo 'This is Windows.' >&2; exit 1 ;; esac\n"
"""A start-up file that reads its input takes the first line. Git for Windows brings an `sh` that
sees none of Windows' processes."""
_END = "\nexit\n"
"""So that the script's end does not wait for the end of its input."""


def stdin(script: str) -> bytes:
    """The input of `COMMAND`. A script that starts other programs is one function, so that it is
    read whole before one of them takes the rest for its input."""
    return f"{_BEGIN}{script}{_END}".encode()
