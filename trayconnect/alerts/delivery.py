"""Alerts as notices on the desktop."""

from __future__ import annotations

from trayconnect.alerts.scheduler import AlertScheduler, Show, Withdraw
from trayconnect.core.notices import Notifier
from trayconnect.sessions.events import Event
from trayconnect.sessions.kernel_activity import Run
from trayconnect.sessions.kernel_activity_text import idle_again
from trayconnect.sessions.state import Session


class NoticeAlerts:
    """`dependencies.Alerts` that shows notices."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._scheduler = AlertScheduler()

    def follow(self, before: Session, after: Session, event: Event, now: float) -> None:
        self._scheduler.follow(before, after, event, now)

    def forget(self, name: str) -> None:
        self._scheduler.forget(name)

    def idle_again(self, name: str, runs: tuple[Run, ...]) -> None:
        self._notifier.notify(idle_again(name, runs))

    def due(self) -> float | None:
        return self._scheduler.due()

    def deliver(self, now: float) -> None:
        for step in self._scheduler.release(now):
            match step:
                case Show(notice):
                    self._notifier.notify(notice)
                case Withdraw(tag):
                    self._notifier.withdraw(tag)
