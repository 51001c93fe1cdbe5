"""Alerts as notices on the desktop."""

from __future__ import annotations

from trayconnect.alerts.scheduler import AlertScheduler, Show, Withdraw
from trayconnect.core.notices import Notifier
from trayconnect.sessions.snapshot import Cause, Snapshot


class NoticeAlerts:
    """`dependencies.Alerts` that shows notices."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._scheduler = AlertScheduler()

    def follow(self, before: Snapshot, after: Snapshot, cause: Cause, now: float) -> None:
        self._scheduler.follow(before, after, cause, now)

    def forget(self, name: str) -> None:
        self._scheduler.forget(name)

    def due(self) -> float | None:
        return self._scheduler.due()

    def deliver(self, now: float) -> None:
        for step in self._scheduler.release(now):
            match step:
                case Show(notice):
                    self._notifier.notify(notice)
                case Withdraw(tag):
                    self._notifier.withdraw(tag)
