"""Ports with nothing behind them."""

from __future__ import annotations

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.questions import Answer, Question


class NoPrompter:
    """Nobody to ask."""

    def ask(self, question: Question, cancel: CancelToken) -> Answer | None:
        return None

    def bring_to_front(self) -> None:
        pass


class NoSecrets:
    """Forgets everything."""

    def get(self, server: str, account: str) -> str | None:
        return None

    def set(self, server: str, account: str, secret: str) -> None:
        pass

    def delete(self, server: str, account: str) -> None:
        pass
