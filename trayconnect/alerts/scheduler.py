"""Tells the news of all sessions: each in its time, and together what happens together. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from trayconnect.alerts.policy import Alert, AlertState, follow, tell
from trayconnect.alerts.text import notice
from trayconnect.core.notices import Notice
from trayconnect.sessions.snapshot import Cause, Snapshot

TOGETHER = 2.0
"""Seconds: news that would be due within so many is told with what is due now, in one notice."""

GATHER = 30.0
"""Seconds: servers that get lost, or come back, within so many share one notice, which grows. A
network that is gone shows on one heartbeat after the other."""
_GATHERED = (Alert.LOST, Alert.BACK)


@dataclass(frozen=True, slots=True)
class Show:
    notice: Notice


@dataclass(frozen=True, slots=True)
class Withdraw:
    tag: str


class AlertScheduler:
    """Follows the sessions by name. Times are of the monotonic clock; one thread at a time."""

    def __init__(self) -> None:
        self._stories: dict[str, AlertState] = {}
        self._stale: list[str] = []
        """Tags of notices that no longer hold."""

    def follow(self, before: Snapshot, after: Snapshot, cause: Cause, now: float) -> None:
        """A session changed."""
        name = after.server.name
        story = self._stories.get(name) or AlertState(before)
        self._stories[name] = next_ = follow(story, after, cause, now)
        if story.tag and not next_.tag:
            self._drop(story.tag)

    def forget(self, name: str) -> None:
        """There is no session of that name any more."""
        story = self._stories.pop(name, None)
        if story is not None and story.tag:
            self._drop(story.tag)

    def due(self) -> float | None:
        """When there is something to tell; None: nothing is in sight."""
        return min((s.due for s in self._stories.values() if s.is_pending), default=None)

    def release(self, now: float) -> list[Show | Withdraw]:
        """What is to be shown, and taken from the screen, now."""
        told = [Show(one) for news in Alert for one in self._tell(news, now)]
        stale, self._stale = self._stale, []
        return [*map(Withdraw, stale), *told]

    def _tell(self, news: Alert, now: float) -> Iterator[Notice]:
        pending = {n: s for n, s in self._stories.items() if s.news is news and s.is_pending}
        if not any(story.due <= now for story in pending.values()):
            return
        stories = {
            name: story
            for name, story in self._stories.items()
            if (name in pending and story.due <= now + TOGETHER)
            or (news in _GATHERED and _stands(story, news, now))
        }
        one = notice(news, [story.session for story in stories.values()])
        for name, story in stories.items():
            if story.tag and story.tag != one.tag:
                self._drop(story.tag)
            if name in pending:
                self._stories[name] = tell(story, one.tag, now)
            else:
                self._stories[name] = replace(story, tag=one.tag)
        yield one

    def _drop(self, tag: str) -> None:
        """A notice does not hold of everything that it speaks of: away with it."""
        self._stale.append(tag)
        for name, story in self._stories.items():
            if story.tag == tag:
                self._stories[name] = replace(story, tag="")


def _stands(story: AlertState, news: Alert, now: float) -> bool:
    """Whether that news was told of it just now, and may still be on the screen."""
    return story.news is news and story.tag != "" and now - story.told_at < GATHER
