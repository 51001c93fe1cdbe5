"""Tokens (`%h`), variables (`${HOME}`) and `~` in the values of ssh_config(5)."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_TOKEN = re.compile(r"%(.?)", re.DOTALL)
_VARIABLE = re.compile(r"\$\{([^}]*)(\}?)")
_ALL = "CLdhiklnpruj"
_PROXY = "hknpr"
_NO_HOST = re.compile(r"^-|[\s\x00-\x1f\x7f'`\"$\\;&<>|(){}]")
_NO_USER = re.compile(r"^-|\s-|[\x00-\x1f\x7f'`\";&<>|(){}]|\\$")


class ExpansionError(ValueError):
    """An unknown token or variable."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The values of the tokens. Names are those of the section TOKENS of ssh_config(5)."""

    original: str
    """%n, the host name as given."""
    hostname: str
    """%h"""
    port: int
    """%p"""
    user: str
    """%r"""
    local_user: str
    """%u"""
    home: Path
    """%d, and `~`"""
    local_host: str
    """%l"""
    alias: str
    """%k"""
    jump: str = ""
    """%j"""
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def _value(self, token: str) -> str:
        match token:
            case "n":
                return self.original
            case "h":
                return self.hostname
            case "p":
                return str(self.port)
            case "r":
                return self.user
            case "u":
                return self.local_user
            case "d":
                return str(self.home)
            case "l":
                return self.local_host
            case "L":
                return self.local_host.partition(".")[0]
            case "k":
                return self.alias
            case "j":
                return self.jump
            case "i":
                return str(os.getuid()) if hasattr(os, "getuid") else "0"
        text = f"{self.local_host}{self.hostname}{self.port}{self.user}{self.jump}"
        return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def path(self, text: str) -> str:
        """A path with `~`, tokens and variables expanded. Raises `ExpansionError`."""
        return self.text(tilde(text, self.home))

    def text(self, text: str, later: str = "") -> str:
        """Tokens and variables expanded. The tokens of `later`, whose values are known only after
        connecting, become a zero byte and their letter. Raises `ExpansionError`."""
        parts = []
        position = 0
        # In one pass, so that a variable's value is not expanded again.
        for match in re.finditer(r"%.?|\$\{[^}]*\}?", text, re.DOTALL):
            parts.append(text[position : match.start()])
            piece = match[0]
            if piece[0] == "%" and piece[1:] and piece[1:] in later:
                parts.append(f"\0{piece[1:]}")
            elif piece[0] == "%":
                parts.append(self.percent(piece))
            else:
                parts.append(variables(piece, self.environment))
            position = match.end()
        return "".join((*parts, text[position:]))

    def percent(self, text: str) -> str:
        """Tokens expanded. Raises `ExpansionError`."""
        return self._percent(text, _ALL)

    def command(self, text: str) -> str:
        """The tokens that ProxyCommand accepts. Raises `ExpansionError`, also for a name that
        contains shell syntax (CVE-2023-51385), as OpenSSH 9.6 does."""
        for token in _TOKEN.findall(text):
            if token in "hkn" and token and _NO_HOST.search(self._value(token)):
                raise ExpansionError("the host name contains shell characters")
            if token == "r" and _NO_USER.search(self.user):
                raise ExpansionError("the user name contains shell characters")
        return self._percent(text, _PROXY)

    def _percent(self, text: str, known: str) -> str:
        def value(match: re.Match[str]) -> str:
            token = match[1]
            if token == "%":
                return "%"
            if not token or token not in known:
                raise ExpansionError(f"the token %{token} is not supported here")
            return self._value(token)

        return _TOKEN.sub(value, text)


def variables(text: str, environment: Mapping[str, str]) -> str:
    """Replace `${NAME}`. Raises `ExpansionError` for an undefined variable."""

    def value(match: re.Match[str]) -> str:
        name, closed = match[1], match[2]
        if not closed or not name:
            raise ExpansionError("'${' is not closed, or names no variable")
        if name not in environment:
            raise ExpansionError(f"the variable {name} is not set")
        return environment[name]

    return _VARIABLE.sub(value, text)


def tilde(text: str, home: Path) -> str:
    """Replace `~` in `~/x` and `~user/x` by the home folder."""
    if text == "~" or text.startswith("~/"):
        return str(home) + text[1:]
    return os.path.expanduser(text)  # noqa: PTH111 - pathlib raises for an unknown user
