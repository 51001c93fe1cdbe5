"""Sends the alerts of all sessions as notices: each at its time, the same of several in one."""

from __future__ import annotations

from dataclasses import replace

from trayconnect.alerts.policy import Alert, AlertState, follow, sent
from trayconnect.alerts.text import notice
from trayconnect.core.notices import Notice, Notifier
from trayconnect.sessions.snapshot import Cause, Snapshot

TOGETHER = 2.0
"""Seconds: an alert that would be due within so many joins the same alert that is due now."""
GATHER = 30.0
"""Seconds: servers that are lost, or come back, within so many share one notice, which grows. When
a network is gone, one heartbeat after the other fails."""
_GATHERED = (Alert.LOST, Alert.BACK)


class AlertScheduler:
    """`dependencies.Alerts` that shows notices."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._states: dict[str, AlertState] = {}
        """By the names of sessions."""
        self._stale: list[str] = []
        """The tags of notices that no longer hold."""

    def follow(self, before: Snapshot, after: Snapshot, cause: Cause, now: float) -> None:
        name = after.server.name
        state = self._states.get(name) or AlertState(before)
        self._states[name] = changed = follow(state, after, cause, now)
        if state.tag and not changed.tag:
            self._drop(state.tag)

    def forget(self, name: str) -> None:
        state = self._states.pop(name, None)
        if state is not None and state.tag:
            self._drop(state.tag)

    def due(self) -> float | None:
        return min((s.due for s in self._states.values() if s.is_pending), default=None)

    def deliver(self, now: float) -> None:
        notices = [one for alert in Alert if (one := self._due_notice(alert, now)) is not None]
        stale, self._stale = self._stale, []
        for tag in stale:
            self._notifier.withdraw(tag)
        for one in notices:
            self._notifier.notify(one)

    def _due_notice(self, alert: Alert, now: float) -> Notice | None:
        """The notice of all sessions of which that alert is due."""
        pending = {n: s for n, s in self._states.items() if s.alert is alert and s.is_pending}
        if not any(state.due <= now for state in pending.values()):
            return None
        states = {
            name: state
            for name, state in self._states.items()
            if (name in pending and state.due <= now + TOGETHER)
            or (alert in _GATHERED and _is_fresh(state, alert, now))
        }
        made = notice(alert, [state.session for state in states.values()])
        for name, state in states.items():
            if state.tag and state.tag != made.tag:
                self._drop(state.tag)
            if name in pending:
                self._states[name] = sent(state, made.tag, now)
            else:
                self._states[name] = replace(state, tag=made.tag)
        return made

    def _drop(self, tag: str) -> None:
        """Withdraw a notice, even if it still holds of other sessions."""
        self._stale.append(tag)
        for name, state in self._states.items():
            if state.tag == tag:
                self._states[name] = replace(state, tag="")


def _is_fresh(state: AlertState, alert: Alert, now: float) -> bool:
    """Whether that alert was sent just now, and may still be on the screen."""
    return state.alert is alert and state.tag != "" and now - state.sent_at < GATHER
