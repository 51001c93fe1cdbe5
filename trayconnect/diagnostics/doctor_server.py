"""Connects one server step by step, with the result and the duration of each step.

The trial has a local port of its own, independent of the running app, and leaves nothing behind."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack

from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, Problem, ProblemError, Recovery
from trayconnect.core.progress import Progress, Step
from trayconnect.core.questions import Answer, Ask, ProgressDisplay, Prompter, Question
from trayconnect.forwarding.forwarding import listen
from trayconnect.services.kinds import KINDS
from trayconnect.ssh.connector import SshConnector


def line_of(step: Step) -> str:
    """A step for a terminal."""
    mark = "FAILED" if step.found is None else "note" if step.is_doubtful else "ok"
    found = f": {step.found}" if step.found else ""
    return f"{mark:<8} {step.seconds * 1000:8.0f} ms  {step.name}{found}"


class TerminalProgress(ProgressDisplay):
    """Writes what the login waits for, line by line."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def say(self, text: str) -> None:
        if text:
            self._write(f"waits    {text}")

    def show(self, question: Question) -> Callable[[], None]:
        for line in (question.title, *filter(None, question.message.splitlines())):
            self.say(line)
        return lambda: None


def examine_server(
    server: Server,
    ssh: SshConnector,
    ask: Ask,
    steps: Progress,
    display: ProgressDisplay = ProgressDisplay(),  # noqa: B008 - it has no state
) -> Problem | None:
    """Connect, and check what is behind the link, with reports to `steps` and `display`. Returns
    the problem, or None if a page answers.

    Every step is bounded in time, but for the user's answers."""
    cancel = CancelToken()
    kind = KINDS[server.kind]
    trial = server.model_copy(update={"local_port": _free_port(), "forwards": ()})
    try:
        with ExitStack() as stack:
            link = (kind.connector or ssh).connect(
                server, ask=ask, cancel=cancel, on_lost=_ignore, display=display, steps=steps
            )
            stack.callback(link.close)
            forwarding = listen(trial)
            stack.callback(forwarding.close)
            forwarding.attach(link)
            return kind.check(trial, link, forwarding.set_target, cancel, steps)
    except ProblemError as error:
        return error.problem
    except Cancelled:
        return Problem(
            "You declined", "Run trayconnect doctor again to answer", Recovery.USER_ACTION
        )


def asking(prompter: Prompter | None) -> Ask:
    """Ask with `prompter`; without one, every question ends the trial."""

    def ask(question: Question) -> Answer:
        if prompter is None:
            raise ProblemError(
                Problem(
                    f"This login asks a question: {question.title}",
                    "Run trayconnect doctor in a terminal to answer",
                    Recovery.USER_ACTION,
                )
            )
        answer = prompter.ask(question, CancelToken())
        if answer is None:
            raise Cancelled
        return answer

    return ask


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _ignore(_problem: Problem) -> None:
    """The next step fails, and reports it."""
