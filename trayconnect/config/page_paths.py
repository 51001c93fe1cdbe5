"""The path of a page as people write it, and in the form of a URI."""

from __future__ import annotations

import re
from urllib.parse import quote

_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SAFE = "/%:@!$&'()*+,;=~"


def url_path(path: str) -> str:
    """Path, query and fragment in the form of a URI (RFC 3986): blanks and non-ASCII letters are
    percent-encoded, existing percent-encoding stays. The first `#` begins the fragment, and the
    first `?` before it the query."""
    path, is_query, query, is_fragment, fragment = parts(path)
    return f"{_quoted(path)}{is_query}{_quoted(query)}{is_fragment}{_quoted(fragment)}"


def parts(path: str) -> tuple[str, str, str, str, str]:
    """Path, "?" or "", query, "#" or "", fragment."""
    before, is_fragment, fragment = path.partition("#")
    page, is_query, query = before.partition("?")
    return page, is_query, query, is_fragment, fragment


def _quoted(text: str) -> str:
    return quote(_STRAY_PERCENT.sub("%25", text), safe=_SAFE + "?")
