"""Notices: what the user must know now."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from trayconnect.core.errors import Problem


class Urgency(enum.Enum):
    NORMAL = "normal"
    CRITICAL = "critical"
    """Stays until the user has seen it."""


class NoticeAction(enum.Enum):
    """The command of a notice's button. The menu offers each of them too."""

    OPEN = "open"
    RETRY = "retry"
    DISCONNECT = "disconnect"
    EDIT = "edit"
    """Edit the server file."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the user must know now. Plain text without secrets."""

    tag: str
    """The subject: on the screen, a newer notice with the same tag replaces this one."""
    title: str
    body: str = ""
    urgency: Urgency = Urgency.NORMAL
    passing: bool = False
    """Whether it may disappear unseen."""
    asked: bool = False
    """Whether it answers what the user just did. The user then wants to see it again."""
    server: str = ""
    """Name of the entry that the actions are for."""
    actions: tuple[NoticeAction, ...] = ()
    """The most useful action first."""

    @classmethod
    def of(
        cls,
        tag: str,
        problem: Problem,
        *,
        asked: bool = False,
        actions: tuple[NoticeAction, ...] = (),
    ) -> Notice:
        """A notice of a problem. Desktops keep a critical notice until the user closes it, so only
        one with a button is critical."""
        urgency = Urgency.CRITICAL if actions else Urgency.NORMAL
        return cls(tag, problem.title, problem.advice, urgency, asked=asked, actions=actions)


class Notifier(Protocol):
    """Shows notices, each once: a notice that is still on the screen is not shown again, unless
    `asked`."""

    def notify(self, notice: Notice) -> None:
        """Show the notice, or drop it where notices cannot be shown; returns at once. Never
        raises."""
        ...

    def withdraw(self, tag: str) -> None:
        """The notice no longer holds: remove it from the screen where possible. As `notify`."""
        ...
