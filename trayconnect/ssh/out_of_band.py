"""What a login waits for elsewhere, as a question: a page to visit, a telephone to be tapped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from trayconnect.core.questions import Question, QuestionKind
from trayconnect.ssh.target import LoginTarget

HUMAN_SECONDS = 300.0
"""For what someone does elsewhere."""
SHOW_SECONDS = 1.0
"""Who only greets goes on sooner."""
NOBODY_SECONDS = 5.0
"""Nobody visits a page sooner."""

_ADDRESS = re.compile(r"https?://[^\s<>\"'`]+", re.IGNORECASE)
_AFTER = ".,;:!?)]}*"
"""What ends a sentence, and not an address."""
_REQUEST = re.compile(
    r"\b(?:browser|visit|open(?:ed|ing)?|go to|log(?:ging)?[ -]?[io]n|sign[ -]?in|links?|urls?"
    r"|authenticat\w+|authori[sz]\w+|approve|verify)\b",
    re.IGNORECASE,
)
_HOST = re.compile(r"[a-z0-9.-]+")
_PLAIN = re.compile(r"[A-Za-z0-9._~:/?#@!$&()*+,;=%-]+")  # RFC 3986, but for brackets


def address(words: str) -> str:
    """The first address of a web page in a text; empty without one."""
    found = _ADDRESS.search(words)
    return found.group().rstrip(_AFTER) if found else ""


def request(lines: Sequence[str]) -> tuple[str, ...]:
    """Of the lines of a program, those that ask for a visit to a page: with its address, and words
    for that beside it. Programs give addresses of their manuals, too."""
    for number, line in enumerate(lines):
        if url := address(line):
            beside = lines[max(0, number - 2) : number + 2]
            if line.strip() == url or _REQUEST.search(_ADDRESS.sub(" ", " ".join(beside))):
                return tuple(beside)
    return ()


def link(words: str) -> str:
    """The same where a click may open it: over https, and plainly of the host that it shows,
    without a user's name or letters of other scripts."""
    url = address(words)
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    host = parts.netloc.lower().removesuffix(port)
    plain = _PLAIN.fullmatch(url) and _HOST.fullmatch(host)
    return url if parts.scheme == "https" and plain else ""


def question(target: LoginTarget, source: str, words: str) -> Question:
    """`source` said the `words`, which are clean."""
    url = link(words)
    where = f" at {urlsplit(url).netloc}" if url else ""
    return Question(
        kind=QuestionKind.VISIT,
        server=target.server,
        title=f"The login to {target.host} waits for you{where}",
        message=(
            f"{source}:\n{words}\n\nThe login goes on when that is done. Cancel, or no, ends it."
        ),
        confirm="Open the page" if url else "OK",
        url=url,
    )
