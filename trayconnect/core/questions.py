"""Questions that only the user can answer."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from trayconnect.core.cancellation import CancelToken


class QuestionKind(enum.Enum):
    PASSWORD = "password"
    PASSPHRASE = "passphrase"
    ONE_TIME_CODE = "one-time-code"
    """A code that works once: never kept, and of no use to a retry."""
    KEYBOARD_INTERACTIVE = "keyboard-interactive"
    """The server's own prompts, in its own words (RFC 4256)."""
    PRIVATE_KEY = "private-key"
    """A key file's text, to be pasted."""
    HOST_KEY = "host-key"
    VISIT = "visit"
    """What a login waits for elsewhere: a page to visit, a telephone. The attempt goes on when
    that is done, be the question answered or not."""
    CONFIRM = "confirm"
    """Whether to do what the user asked for, though it costs something."""


@dataclass(frozen=True, slots=True)
class Field:
    """One value to fill in: a line, or a text of several."""

    label: str
    secret: bool = True
    multiline: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """Something only the user can say.

    Without `fields` it is a yes-or-no question, and the safe answer, the default, is no.
    """

    kind: QuestionKind
    server: str
    """The entry's name, as in the menu."""
    title: str
    message: str
    fields: tuple[Field, ...] = ()
    confirm: str = "OK"
    """The word on the button that answers; the other one says Cancel."""
    can_remember: bool = False
    """Offer to keep the answer in the system keyring."""
    url: str = ""
    """The page that a yes opens."""

    @property
    def may_be_empty(self) -> bool:
        """Whether an empty value answers: to a server's own prompt it can mean something, such as
        "send me a push"."""
        return self.kind in (QuestionKind.ONE_TIME_CODE, QuestionKind.KEYBOARD_INTERACTIVE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the user said: a value a field (none for a plain yes)."""

    values: tuple[str, ...] = field(default=(), repr=False)
    remember: bool = False


class Ask(Protocol):
    """How an attempt asks: blocks until the user answers.

    Raises `Cancelled` when the user declines, or disconnects.
    """

    def __call__(self, question: Question) -> Answer: ...


class ProgressDisplay:
    """How an attempt tells what it waits for, and goes on meanwhile. This one tells nobody."""

    def say(self, text: str) -> None:
        """What the way to the server says: a line for people, in the place of the last one."""

    def show(self, question: Question) -> Callable[[], None]:  # noqa: ARG002
        """Show a question of kind VISIT. What is returned takes it away, and waits for that."""
        return lambda: None


class Prompter(Protocol):
    """Puts questions to the user, one at a time."""

    def ask(self, question: Question, cancel: CancelToken) -> Answer | None:
        """Block until answered. None: declined, or `cancel` withdrew the question.

        Raises `ProblemError` when there is no way to ask."""
        ...

    def bring_to_front(self) -> None:
        """Show the open question again to a user who lost sight of it, where that can be done; from
        any thread. Never raises."""
        ...
