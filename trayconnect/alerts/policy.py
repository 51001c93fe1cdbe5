"""What of a session the user must know, and from when on. Pure.

News is what holds of a session and is worth a notice. It is told once it has held for a while, so
that what heals by itself says nothing, and it is told once: again only after it was over and the
user was told that, or after the user's next order, whose outcome they wait for.
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
    """Its page answers, as the user ordered."""
    DELAYED = "delayed"
    """The user waits for it, and it cannot be reached yet."""
    SILENT = "silent"
    """The user waits for its page, and none answers behind the tunnel."""
    LOST = "lost"
    """Its page answered, and does no longer."""
    BACK = "back"
    """It was told as lost, or failed later, and its page answers again."""
    ASKING = "asking"
    """A question to the user is open, and was perhaps not seen."""
    NEEDS_YOU = "needs-you"
    FAILED = "failed"


GRACE = 5.0
"""Seconds in which something may heal by itself and say nothing."""
LONG_GRACE = 60.0
"""The same for a server that comes and goes: lost again within `RESTLESS` of being told as back."""
RESTLESS = 300.0
ANSWER_TIME = 20.0
"""Seconds after which a question that is not answered was perhaps not seen."""
SETTLE = 1.0
"""Seconds to wait for others of the same kind, which are then told in one notice."""

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
"""Seconds that each must have held when it is told."""


@dataclass(frozen=True, slots=True)
class AlertState:
    """One session as far as news go. Times are of the monotonic clock."""

    session: Snapshot
    """As it is now."""
    news: Alert | None = None
    """What holds now."""
    due: float = 0.0
    """When it is to be told."""
    told: bool = False
    """Whether the user knows it."""
    told_at: float = 0.0
    tag: str = ""
    """Of the notice on the screen that speaks of it; empty without one."""
    answered: bool = False
    """Whether its page has answered since the user's order."""
    missed: bool = False
    """Told as lost, or as failed after its page had answered, and not yet as back."""
    back_at: float | None = None
    """When it was last told as back."""
    said: frozenset[Alert] = frozenset()
    """What was told since the user's order, or since its page answered."""

    @property
    def is_pending(self) -> bool:
        return self.news is not None and not self.told


def follow(story: AlertState, after: Snapshot, cause: Cause, now: float) -> AlertState:
    """The story after a change."""
    before = story.session
    story = replace(story, session=after)
    if after.state in (State.OFF, State.CLOSING):
        return AlertState(after)
    answers = after.is_ready
    if cause is Cause.ORDER and not answers:
        story = AlertState(after)
    news = _news(story, before)
    if answers:
        story = replace(story, answered=True, said=frozenset())
    if news is not story.news:
        return _turn(story, news, now)
    if cause is Cause.WOKE and story.is_pending and news is not None:
        return replace(story, due=now + WAITS[news])  # no time was given to heal in sleep
    return story


def tell(story: AlertState, tag: str, now: float) -> AlertState:
    """The story once its news was told under that tag."""
    assert story.news is not None
    told = replace(story, told=True, told_at=now, tag=tag, said=story.said | {story.news})
    match story.news:
        case Alert.LOST:
            return replace(told, missed=True)
        case Alert.FAILED if story.answered:  # it may come back by itself as well
            return replace(told, missed=True)
        case Alert.BACK:
            return replace(told, missed=False, back_at=now)
        case _:
            return told


def _news(story: AlertState, before: Snapshot) -> Alert | None:
    """What holds of a session that is neither off nor about to be."""
    now = story.session
    match now.state:
        case State.FAILED:
            return Alert.FAILED
        case State.NEEDS_YOU:
            return Alert.NEEDS_YOU if now.question is None else Alert.ASKING
    if now.is_ready:
        if before.service.browser_pending and not now.service.browser_pending:
            return Alert.UP
        if story.missed:
            return Alert.BACK
        return story.news if story.news in (Alert.UP, Alert.BACK) else None
    if story.answered:
        return Alert.LOST
    if now.page_problem is None or not now.service.browser_pending:
        return None
    return Alert.SILENT if now.state is State.UP else Alert.DELAYED


def _turn(story: AlertState, news: Alert | None, now: float) -> AlertState:
    """The story when other news holds than before. The notice on the screen stays where that of
    the new one soon takes its place, or where the old one is true again before it did."""
    if news is None:
        return replace(story, news=None, told=False, tag="")
    wait, known = WAITS[news], news in story.said
    question = story.session.question
    if question is not None and question.kind is QuestionKind.VISIT:
        wait = SETTLE  # it may be that only the notice is seen
    stays = not known and wait <= SETTLE
    if news is Alert.LOST:
        # That it failed before was other news than that it is tried again.
        known = known or (story.missed and Alert.FAILED not in story.said)
        stays = known and story.news is Alert.BACK
        if story.back_at is not None and now - story.back_at < RESTLESS:
            wait = LONG_GRACE
    tag = story.tag if stays else ""
    return replace(story, news=news, due=now + wait, told=known, tag=tag)
