"""Carries out commands, whoever gives them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

from trayconnect.control.protocol import JSON, Reply
from trayconnect.control.status import to_json
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import Command
from trayconnect.core.errors import Cancelled, Problem, ProblemError, unforeseen
from trayconnect.core.notices import Notice, Notifier
from trayconnect.sessions.snapshot import Snapshot

logger = logging.getLogger(__name__)

Outcome: TypeAlias = "Snapshot | Mapping[str, JSON] | None"
"""What a command replies: a server as it is then, other JSON, or nothing."""
Handler = Callable[[Command, CancelToken], Outcome]
"""Carries out the commands of one name. Raises `ProblemError` where that is impossible. It may take
its time only where the command says that its sender waits."""


@contextmanager
def telling(notifier: Notifier, tag: str, what: str) -> Iterator[None]:
    """Show what goes wrong within as a notice of that tag, and raise nothing; `what` is for the
    log."""
    try:
        yield
    except Cancelled:
        pass
    except ProblemError as error:
        logger.warning("%s: %s", what, error.problem.logged)
        notifier.notify(Notice.of(tag, error.problem, asked=True))
    except Exception as error:
        logger.exception("%s failed in a way nobody foresaw", what)
        notifier.notify(Notice.of(tag, unforeseen(error), asked=True))


class Dispatcher:
    """Finds the handler of a command. From any thread."""

    def __init__(
        self,
        notifier: Notifier,
        *families: Mapping[str, Handler],
        close: Callable[[], object] = lambda: None,
    ) -> None:
        self._notifier = notifier
        self.close = close
        """Withdraws what the handlers have left under way."""
        self.handlers = {name: handler for family in families for name, handler in family.items()}

    def click(self, command: Command) -> None:
        """For a click, which has nobody to reply to. Never raises; a notice says what hindered
        it."""
        with telling(self._notifier, "command", command.name):
            self._run(command, CancelToken())

    def answer(self, command: Command, cancel: CancelToken) -> Reply:
        """For the control socket: block until there is a reply. Raises `ProblemError`."""
        outcome = self._run(command, cancel)
        return Reply(ok=True, data=to_json([outcome]) if isinstance(outcome, Snapshot) else outcome)

    def _run(self, command: Command, cancel: CancelToken) -> Outcome:
        handler = self.handlers.get(command.name)
        if handler is None:
            title = f"trayconnect has no command “{command.name}”"
            raise ProblemError(Problem(title, "Use its commands; see: trayconnect --help"))
        return handler(command, cancel)
