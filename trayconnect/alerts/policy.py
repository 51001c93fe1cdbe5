"""Which alert holds of a session, and when to send it. Pure.

An alert is sent after it has held for a while, so that a short failure causes none. It is sent
once: again only after a later alert said that it was over, or after the user's next order, as the
user waits for its outcome.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace

from trayconnect.core.questions import QuestionKind
from trayconnect.sessions.snapshot import Cause, Snapshot
from trayconnect.sessions.state import State


class Alert(enum.Enum):
    UP = "up"
    """The page answers, as the user ordered."""
    DELAYED = "delayed"
    """The user waits, and the server cannot be reached yet."""
    SILENT = "silent"
    """The user waits for the page, and nothing answers behind the link."""
    LOST = "lost"
    """The page stopped answering."""
    BACK = "back"
    """The page answers again, after an alert said LOST, or FAILED."""
    ASKING = "asking"
    """A question is open, and the user has perhaps not seen it."""
    NEEDS_YOU = "needs-you"
    FAILED = "failed"


GRACE = 5.0
"""Seconds after which a failure causes an alert."""
LONG_GRACE = 60.0
"""The same for a server that is lost again within `RESTLESS` seconds after BACK was sent."""
RESTLESS = 300.0
ANSWER_TIME = 20.0
"""Seconds after which an open question was perhaps not seen."""
SETTLE = 1.0
"""Seconds to wait for the same alert of other servers: one notice then speaks of all."""

WAITS: Mapping[Alert, float] = {
    Alert.UP: SETTLE,
    Alert.DELAYED: GRACE,
    Alert.SILENT: GRACE,
    Alert.LOST: GRACE,
    Alert.BACK: SETTLE,
    Alert.ASKING: ANSWER_TIME,
    Alert.NEEDS_YOU: SETTLE,
    Alert.FAILED: SETTLE,
}
"""Seconds that an alert holds before it is sent."""


@dataclass(frozen=True, slots=True)
class AlertState:
    """The alerts of one session. Times are of the monotonic clock."""

    session: Snapshot
    alert: Alert | None = None
    """What holds now."""
    due: float = 0.0
    """When to send it."""
    is_sent: bool = False
    """Whether the user knows it."""
    sent_at: float = 0.0
    tag: str = ""
    """The notice on the screen that speaks of it; empty if there is none."""
    was_ready: bool = False
    """Whether the page has answered since the user's order."""
    missed: bool = False
    """The user knows that it was lost, or failed after its page had answered, and not yet that it
    is back."""
    back_at: float | None = None
    """When BACK was last sent."""
    known: frozenset[Alert] = frozenset()
    """The alerts that were sent since the user's order, or since the page answered."""

    @property
    def is_pending(self) -> bool:
        return self.alert is not None and not self.is_sent


def follow(state: AlertState, after: Snapshot, cause: Cause, now: float) -> AlertState:
    """The state after a change of the session."""
    before = state.session
    state = replace(state, session=after)
    if after.state in (State.OFF, State.CLOSING):
        return AlertState(after)
    if cause is Cause.ORDER and not after.is_ready:
        state = AlertState(after)
    alert = _alert(state, before)
    if after.is_ready:
        state = replace(state, was_ready=True, known=frozenset())
    elif not after.service.expects_page:  # it has ended, and is not lost
        state = replace(state, was_ready=False, missed=False)
    if alert is not state.alert:
        return _change(state, alert, now)
    if cause is Cause.WOKE and state.is_pending and alert is not None:
        return replace(state, due=now + WAITS[alert])  # sleep does not count
    return state


def sent(state: AlertState, tag: str, now: float) -> AlertState:
    """The state after the alert was sent in the notice with that tag."""
    assert state.alert is not None
    after = replace(state, is_sent=True, sent_at=now, tag=tag, known=state.known | {state.alert})
    match state.alert:
        case Alert.LOST:
            return replace(after, missed=True)
        case Alert.FAILED if state.was_ready:  # it may come back without the user
            return replace(after, missed=True)
        case Alert.BACK:
            return replace(after, missed=False, back_at=now)
        case _:
            return after


def _alert(state: AlertState, before: Snapshot) -> Alert | None:
    """What holds of a session that is neither OFF nor CLOSING."""
    now = state.session
    match now.state:
        case State.FAILED:
            return Alert.FAILED
        case State.NEEDS_YOU:
            return Alert.NEEDS_YOU if now.question is None else Alert.ASKING
    if now.is_ready:
        if before.service.browser_pending and not now.service.browser_pending:
            return Alert.UP
        if state.missed:
            return Alert.BACK
        return state.alert if state.alert in (Alert.UP, Alert.BACK) else None
    if now.state is State.UP and not now.service.expects_page:
        return None
    if state.was_ready:
        return Alert.LOST
    if now.page_problem is None or not now.service.browser_pending:
        return None
    return Alert.SILENT if now.state is State.UP else Alert.DELAYED


def _change(state: AlertState, alert: Alert | None, now: float) -> AlertState:
    """The state after another alert holds. The notice on the screen stays if a notice of the new
    alert soon replaces it, or if the old alert holds again before that."""
    if alert is None:
        return replace(state, alert=None, is_sent=False, tag="")
    wait, is_known = WAITS[alert], alert in state.known
    question = state.session.question
    if question is not None and question.kind is QuestionKind.VISIT:
        wait = SETTLE  # the user may see only the notice
    stays = not is_known and wait <= SETTLE
    if alert is Alert.LOST:
        # The user knows of the failure, unless it said that nothing is retried.
        is_known = is_known or (state.missed and Alert.FAILED not in state.known)
        stays = is_known and state.alert is Alert.BACK
        if state.back_at is not None and now - state.back_at < RESTLESS:
            wait = LONG_GRACE
    tag = state.tag if stays else ""
    return replace(state, alert=alert, due=now + wait, is_sent=is_known, tag=tag)
