"""The lines before the packets of an SSH connection (RFC 4253 section 4.2)."""

from __future__ import annotations

import re

MAX_BYTES = 8 << 10
"""Limit for one line before the SSH packets, as OpenSSH; the identification itself may have 255
bytes (RFC 4253 section 4.2)."""
_BINARY = re.compile(r"[\0-\x08\x0e-\x1a\x1c-\x1f]")
RECOGNIZABLE = ("SSH-", "HTTP/", "<", "\N{REPLACEMENT CHARACTER}")


def text_line(data: bytes) -> str:
    """A line of text; after a replacement character if it is none."""
    data = data.rstrip(b"\n").removesuffix(b"\r")
    try:
        return data.decode()
    except UnicodeDecodeError:
        # A line in Latin-1 may precede the SSH identification, or be a web server's.
        line = data.decode("latin-1")
        if line.startswith("SSH-") or _BINARY.search(line):
            line = f"\N{REPLACEMENT CHARACTER}{line}"
        return line
