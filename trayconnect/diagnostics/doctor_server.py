"""What it takes to get to one server: each step, what came of it, and how long it took.

A trial of its own, on a local port of its own, beside whatever the app does. Nothing stays."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import Cancelled, Problem, ProblemError, Recovery
from trayconnect.core.progress import Progress, Step
from trayconnect.core.questions import Answer, Ask, ProgressDisplay, Prompter, Question
from trayconnect.forwarding.forwarding import listen
from trayconnect.services.jupyter.discovery import LIMIT, RunningServer, find
from trayconnect.services.jupyter.health import HealthChecker
from trayconnect.services.jupyter.model import Health
from trayconnect.services.jupyter.selection_store import StoredChoices, choices_file
from trayconnect.services.protocol import Level
from trayconnect.services.webpage.direct import DirectConnector, look_direct
from trayconnect.ssh.connector import SshConnector


def line_of(step: Step) -> str:
    """A step for a terminal."""
    mark = "FAILED" if step.found is None else "ok"
    found = f": {step.found}" if step.found else ""
    return f"{mark:<8} {step.seconds * 1000:8.0f} ms  {step.name}{found}"


class TellLines(ProgressDisplay):
    """Tells what the way waits for in lines of a terminal."""

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
    """Go all the way, telling `steps`, and `display` of what is waited for; returns why it went no
    further, or None if a page answers.

    Every step is bounded in time, but for the user's answers."""
    cancel = CancelToken()
    try:
        if server.url is not None:
            return _direct(server, server.url, ask, cancel, steps)
        return _through_ssh(server, ssh, ask, cancel, steps, display)
    except ProblemError as error:
        return error.problem
    except Cancelled:
        return Problem("You declined", "Run it again to go on", Recovery.USER_ACTION)


def asking(prompter: Prompter | None) -> Ask:
    """How the trial asks; without a prompter, every question ends it."""

    def ask(question: Question) -> Answer:
        if prompter is None:
            raise ProblemError(
                Problem(
                    f"It would ask: {question.title}",
                    "Run trayconnect doctor in a terminal to answer",
                    Recovery.USER_ACTION,
                )
            )
        answer = prompter.ask(question, CancelToken())
        if answer is None:
            raise Cancelled
        return answer

    return ask


def _direct(
    server: Server, url: str, ask: Ask, cancel: CancelToken, steps: Progress
) -> Problem | None:
    with steps.step(f"reach {url}"):
        DirectConnector().connect(server, ask=ask, cancel=cancel, on_lost=_ignore).close()
    with steps.step("look at its page") as found:
        health = look_direct(url, cancel)
        found.append(health.level.label)
    return health.problem


def _through_ssh(
    server: Server,
    ssh: SshConnector,
    ask: Ask,
    cancel: CancelToken,
    steps: Progress,
    display: ProgressDisplay,
) -> Problem | None:
    with ExitStack() as stack:
        tunnel = ssh.connect(
            server, ask=ask, cancel=cancel, on_lost=_ignore, display=display, steps=steps
        )
        stack.callback(tunnel.close)
        try:
            with steps.step("run a command"):
                tunnel.execute("exec sh", b"exit 0\n", LIMIT)
            with steps.step("find Jupyter") as found:
                found += list(_found(find(tunnel.execute, server.host or server.name).servers))
        except ProblemError as error:
            if error.problem.recovery is Recovery.USER_ACTION:
                raise
            # Some servers allow forwards only; what follows tells whether that is enough.
        trial = server.model_copy(update={"local_port": _free_port(), "forwards": ()})
        forwarding = listen(trial)
        stack.callback(forwarding.close)
        forwarding.attach(tunnel.open_channel, tunnel.open_own_channel)
        with steps.step("look at its page through the tunnel") as found:
            health = HealthChecker(StoredChoices(choices_file()), patience=None)(
                trial, tunnel, forwarding.set_target, cancel
            )
            found.append(f"reached {health.level.label}")
            if health.level < Level.READY:
                raise ProblemError(_silent(health))
        return health.problem


def _found(servers: tuple[RunningServer, ...]) -> Iterator[str]:
    for one in servers:
        where = one.root_dir or "an unknown folder"
        token = "with a token" if one.token else "without a token to be trusted"
        yield f"version {one.version or 'unknown'} in {where}, {token}"
    if not servers:
        yield "none is running"


def _silent(health: Health) -> Problem:
    return health.problem or Problem("No page answers yet", "Try again in a moment", Recovery.RETRY)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _ignore(_problem: Problem) -> None:
    """The steps tell of a loss."""
