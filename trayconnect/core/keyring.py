"""The system keyring, as a protocol."""

from __future__ import annotations

from typing import Protocol


class Secrets(Protocol):
    """The system keyring. Every call is bounded in time and raises `ProblemError` when it can't
    be used."""

    def get(self, server: str, account: str) -> str | None: ...

    def set(self, server: str, account: str, secret: str) -> None: ...

    def delete(self, server: str, account: str) -> None: ...
