"""The system keyring, as a protocol."""

from __future__ import annotations

from typing import Protocol


class Secrets(Protocol):
    """The system keyring. Every call has a time limit, and raises `ProblemError` if the keyring
    cannot be used."""

    def get(self, server: str, account: str) -> str | None: ...

    def set(self, server: str, account: str, secret: str) -> None: ...

    def delete(self, server: str, account: str) -> None: ...
