"""The action outside of the program that a login waits for, as a question: a page to visit, a
telephone to confirm on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from trayconnect.core.questions import Question, QuestionKind
from trayconnect.ssh.target import LoginTarget

HUMAN_SECONDS = 300.0
"""Seconds for a human's action."""
SHOW_SECONDS = 1.0
"""Seconds after which the question appears: a server that only greets continues sooner."""
NOBODY_SECONDS = 5.0
"""Seconds: a shorter wait involved no human."""

_ADDRESS = re.compile(r"https?://[^\s<>\"'`]+", re.IGNORECASE)
_AFTER = ".,;:!?)]}*"
"""Characters that end a sentence rather than an address."""
_REQUEST = re.compile(
    r"\b(?:browser|visit|open(?:ed|ing)?|go to|log(?:ging)?[ -]?[io]n|sign[ -]?in|links?|urls?"
    r"|authenticat\w+|authori[sz]\w+|approve|verify)\b",
    re.IGNORECASE,
)
_HOST = re.compile(r"[a-z0-9.-]+")
_PLAIN = re.compile(r"[A-Za-z0-9._~:/?#@!$&()*+,;=%-]+")  # RFC 3986, without brackets


def address(message: str) -> str:
    """The first web address in a text; empty if there is none."""
    found = _ADDRESS.search(message)
    return found.group().rstrip(_AFTER) if found else ""


def request(lines: Sequence[str]) -> tuple[str, ...]:
    """The lines of a program's output that ask for a visit to a page: with its address, and words
    for a visit beside it. Programs print the addresses of their manuals, too."""
    for number, line in enumerate(lines):
        if url := address(line):
            beside = lines[max(0, number - 2) : number + 2]
            if line.strip() == url or _REQUEST.search(_ADDRESS.sub(" ", " ".join(beside))):
                return tuple(beside)
    return ()


def link(message: str) -> str:
    """The address, if it is safe to open on a click: https, with a plain host, without a user name
    and without letters of other scripts."""
    url = address(message)
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    host = parts.netloc.lower().removesuffix(port)
    plain = _PLAIN.fullmatch(url) and _HOST.fullmatch(host)
    return url if parts.scheme == "https" and plain else ""


def question(target: LoginTarget, source: str, message: str) -> Question:
    """`source` printed the `message`, which are sanitized."""
    url = link(message)
    where = f" at {urlsplit(url).netloc}" if url else ""
    return Question(
        kind=QuestionKind.VISIT,
        server=target.server,
        title=f"The login to {target.host} waits for you{where}",
        message=(
            f"{source}:\n{message}\n\nThe login continues when that is done. Cancel, or no, ends "
            "it."
        ),
        confirm="Open the page" if url else "OK",
        url=url,
    )
