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
    """A code that works once: never kept, and useless for a retry."""
    KEYBOARD_INTERACTIVE = "keyboard-interactive"
    """The server's own prompts (keyboard-interactive, RFC 4256)."""
    PRIVATE_KEY = "private-key"
    """The text of a private key file, to be pasted."""
    HOST_KEY = "host-key"
    VISIT = "visit"
    """An action outside of the program that a login waits for: a page to visit, a telephone to
    confirm on. The attempt goes on as soon as the action is done, whether or not the question is
    answered."""
    CONFIRM = "confirm"
    """A confirmation of a command that can lose something."""


@dataclass(frozen=True, slots=True)
class Field:
    """One value to fill in: a line, or a text of several lines."""

    label: str
    secret: bool = True
    multiline: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """A question that only the user can answer.

    Without `fields` it is a yes-or-no question, whose safe default is no."""

    kind: QuestionKind
    server: str
    """Name of the entry, as in the menu."""
    title: str
    message: str
    fields: tuple[Field, ...] = ()
    confirm: str = "OK"
    """Label of the button that answers; the other button is Cancel."""
    can_remember: bool = False
    """Offer to keep the answer in the system keyring."""
    url: str = ""
    """The page that the yes button opens."""

    @property
    def may_be_empty(self) -> bool:
        """Whether an empty value is an answer: to a server's own prompt it can mean something, such
        as "send me a push"."""
        return self.kind in (QuestionKind.ONE_TIME_CODE, QuestionKind.KEYBOARD_INTERACTIVE)


@dataclass(frozen=True, slots=True)
class Answer:
    """The user's answer: one value for each field (none for a plain yes)."""

    values: tuple[str, ...] = field(default=(), repr=False)
    remember: bool = False


class Ask(Protocol):
    """Asks the user on behalf of an attempt: blocks until the answer.

    Raises `Cancelled` if the user declines or disconnects."""

    def __call__(self, question: Question) -> Answer: ...


class ProgressDisplay:
    """Shows what an attempt waits for, while the attempt goes on. This one shows nothing."""

    def say(self, text: str) -> None:
        """Show a line of progress, in place of the last one."""

    def show(self, question: Question) -> Callable[[], None]:  # noqa: ARG002
        """Show a question of kind VISIT. The returned function closes it, and waits until it is
        closed."""
        return lambda: None


class Prompter(Protocol):
    """Puts questions to the user, one at a time."""

    def ask(self, question: Question, cancel: CancelToken) -> Answer | None:
        """Block until the answer. None: the user declined, or `cancel` withdrew the question.

        Raises `ProblemError` if nothing can ask the user."""
        ...

    def bring_to_front(self) -> None:
        """Show the open question again in front of other windows, where possible; from any thread.
        Never raises."""
        ...
