"""Notices: what the user must know now."""

from __future__ import annotations

import enum
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from trayconnect.core.command import Button, Command
from trayconnect.core.errors import Cancelled, Problem, ProblemError, unforeseen

logger = logging.getLogger(__name__)


class Urgency(enum.Enum):
    NORMAL = "normal"
    CRITICAL = "critical"
    """Stays until the user has seen it."""


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
    buttons: tuple[Button, ...] = ()
    """The most useful button first. Their commands have different names."""

    @classmethod
    def of(
        cls,
        tag: str,
        problem: Problem,
        *,
        asked: bool = False,
        buttons: tuple[Button, ...] = (),
    ) -> Notice:
        """A notice of a problem. Desktops keep a critical notice until the user closes it, so only
        one with a button is critical."""
        urgency = Urgency.CRITICAL if buttons else Urgency.NORMAL
        return cls(tag, problem.title, problem.advice, urgency, asked=asked, buttons=buttons)


@contextmanager
def failures_shown(notifier: Notifier, tag: str, what: str) -> Iterator[None]:
    """Show a failure inside as a notice of that tag, and raise nothing; `what` is for the log."""
    try:
        yield
    except Cancelled:
        pass
    except ProblemError as error:
        show_failure(notifier, tag, what, error.problem)
    except Exception as error:
        logger.exception("a bug in %s", what)
        notifier.notify(Notice.of(tag, unforeseen(error), asked=True))


def show_failure(notifier: Notifier, tag: str, what: str, problem: Problem) -> None:
    """Show and log a failure of what the user has just ordered; `what` is for the log."""
    logger.warning("%s: %s", what, problem.logged)
    notifier.notify(Notice.of(tag, problem, asked=True))


EDIT = Button("Edit servers…", Command("edit-servers"))


def open_page(server: str) -> Button:
    return Button("Open", Command("open", server))


def retry(server: str) -> Button:
    return Button("Retry", Command("connect", server))


def disconnect(server: str) -> Button:
    return Button("Disconnect", Command("disconnect", server))


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
