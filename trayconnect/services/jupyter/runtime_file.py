"""Reading what the search scripts print of Jupyter's runtime files."""

from __future__ import annotations

import json
import re

from trayconnect.core import sanitize

TOKEN = re.compile(r"[\x21-\x7e]+")


def line_of(report: str, key: str) -> str:
    """The rest of the last line that begins with `@@key`."""
    lines = [rest for line in report.split("\n") if (rest := _rest(line, key)) is not None]
    return sanitize.exact(lines[-1]) if lines else ""


def _rest(line: str, key: str) -> str | None:
    word, _, rest = line.partition(" ")
    return rest if word == f"@@{key}" else None


def decoded(content: str) -> dict[object, object] | None:
    """A runtime file; None for what is none."""
    try:
        info = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return info if isinstance(info, dict) else None


def text(info: dict[object, object], key: str) -> str:
    return sanitize.exact(info.get(key))


def slashed(path: str) -> str:
    """A base URL, which begins and ends with a slash."""
    inner = path.strip("/")
    return f"/{inner}/" if inner else "/"
