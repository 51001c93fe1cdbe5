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
    """What a button of a notice orders; the menu can do each of them too."""

    OPEN = "open"
    RETRY = "retry"
    DISCONNECT = "disconnect"
    EDIT = "edit"
    """Edit the server file."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the user must know now. Plain text; nothing in it is secret."""

    tag: str
    """What it is about: on the screen, a newer notice of the same tag takes its place."""
    title: str
    body: str = ""
    urgency: Urgency = Urgency.NORMAL
    passing: bool = False
    """Whether it need not be kept for a user who was away."""
    asked: bool = False
    """Whether it answers what the user just did, who then wants to see it again."""
    server: str = ""
    """The entry's name that the actions are for."""
    actions: tuple[NoticeAction, ...] = ()
    """The most useful one first."""

    @classmethod
    def of(
        cls,
        tag: str,
        problem: Problem,
        *,
        asked: bool = False,
        actions: tuple[NoticeAction, ...] = (),
    ) -> Notice:
        """What went wrong. Desktops keep a critical notice until it is closed: only one with a
        button is worth that."""
        urgency = Urgency.CRITICAL if actions else Urgency.NORMAL
        return cls(tag, problem.title, problem.advice, urgency, asked=asked, actions=actions)


class Notifier(Protocol):
    """Shows notices, each once: what is still there is not shown again, unless `asked`."""

    def notify(self, notice: Notice) -> None:
        """Show it, or drop it where that is impossible; returns at once. Never raises."""
        ...

    def withdraw(self, tag: str) -> None:
        """It no longer holds: take it off the screen, where that can be done. As `notify`."""
        ...
