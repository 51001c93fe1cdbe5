"""A page to open in a browser."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Page:
    """A page for the browser. `token` logs in, and must not be shown."""

    url: str
    token: str = field(default="", repr=False)
    root: str = field(default="", compare=False)
    """Base URL of the Jupyter server's API; ends with a slash."""

    @property
    def link(self) -> str:
        """The URL with the token: a secret, for the user's eyes and clipboard only."""
        if not self.token:
            return self.url
        before, is_fragment, fragment = self.url.partition("#")
        _path, is_query, query = before.partition("?")
        joint = "?" if not is_query else "&" if query and not query.endswith("&") else ""
        token = quote(self.token, safe="")
        return f"{before}{joint}token={token}{is_fragment}{fragment}"


class Browser(Protocol):
    def open(self, page: Page) -> None:
        """Open the default browser. Raises `ProblemError`."""
        ...


class NoBrowser:
    def open(self, page: Page) -> None:
        pass
