"""Finds the handler of a command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from trayconnect.control.status_json import to_json
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import JSON, Command
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.notices import Notifier, failures_shown
from trayconnect.sessions.snapshot import Snapshot

Outcome: TypeAlias = "Snapshot | JSON"
"""The reply to a command: the status of a server, other JSON, or nothing."""
Handler = Callable[[Command, CancelToken], Outcome]
"""Carries out the commands of one name. Raises `ProblemError` where that is impossible. It returns
at once unless the sender waits for the result."""


class Dispatcher:
    """Finds the handler of a command. From any thread."""

    def __init__(
        self,
        notifier: Notifier,
        *families: Mapping[str, Handler],
    ) -> None:
        self._notifier = notifier
        self.handlers = {name: handler for family in families for name, handler in family.items()}

    def click(self, command: Command) -> None:
        """For a click, which gets no reply. Never raises: a failure is shown as a notice."""
        with failures_shown(self._notifier, "command", command.name):
            self._run(command, CancelToken())

    def answer(self, command: Command, cancel: CancelToken) -> JSON:
        """For the control socket: block until there is a reply. Raises `ProblemError`, and
        `Cancelled`."""
        outcome = self._run(command, cancel)
        return to_json([outcome]) if isinstance(outcome, Snapshot) else outcome

    def _run(self, command: Command, cancel: CancelToken) -> Outcome:
        handler = self.handlers.get(command.name)
        if handler is None:
            title = f"trayconnect has no command “{command.name}”"
            raise ProblemError(Problem(title, "Use its commands; see: trayconnect --help"))
        return handler(command, cancel)
