"""The commands on the Jupyter of an entry that talk to its server, on their senders' threads."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trayconnect.config.model import SAME_HOST
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import JSON, Command, name_on_command_line
from trayconnect.core.errors import Problem, ProblemError, Recovery
from trayconnect.core.link import Link
from trayconnect.core.notices import Notice
from trayconnect.core.page import Page
from trayconnect.core.questions import Question, QuestionKind
from trayconnect.services.jupyter import stop
from trayconnect.services.jupyter.log import read_log
from trayconnect.services.jupyter.machine import CheckAgain, JupyterStopped, JupyterStopping
from trayconnect.services.jupyter.model import FoundJupyter
from trayconnect.services.jupyter.presentation import JupyterFacts, jupyter_label, table
from trayconnect.services.jupyter.selection import matching
from trayconnect.services.jupyter.selection_store import Choice, Choices
from trayconnect.services.protocol import Desktop

if TYPE_CHECKING:
    from trayconnect.services.jupyter.service import JupyterService

_PROCESS = re.compile(r"[0-9]{1,18} [\w:.+-]{1,100}", re.ASCII)
"""The identity of a Jupyter whose process is known."""


@dataclass(frozen=True, slots=True)
class StopCandidate:
    """A Jupyter that the user may want to stop."""

    identity: str
    """See `stop.identity`."""
    losses: stop.Losses
    label: str
    """Its folder and where it listens; empty if unknown."""


@dataclass(frozen=True, slots=True)
class JupyterCommands:
    jupyter: JupyterService
    choices: Choices
    desktop: Desktop

    def run(self, command: Command, cancel: CancelToken) -> JSON:
        """See `Service.run`."""
        return RUNS[command.name](self, command, cancel)

    # --- which one ---

    def list_all(self, _command: Command, cancel: CancelToken) -> JSON:
        """The lines of a table; the Jupyter in use is marked."""
        facts = self.jupyter.checked(cancel)
        if facts.jupyters:
            return {"lines": table(facts.jupyters)}
        name = self.jupyter.server.name
        if not facts.is_linked:
            advice = f"Connect it first: trayconnect connect {name_on_command_line(name)}"
            raise ProblemError(Problem(f"{name} is not connected", advice))
        advice = f"Start one with: trayconnect start {name_on_command_line(name)}"
        raise ProblemError(Problem(f"No Jupyter server of yours was found on {name}", advice))

    def choose(self, command: Command, cancel: CancelToken) -> JSON:
        """Let the local port lead to another of the server's Jupyters, by that one's port, socket
        or folder; remembered for its folder, also when it listens elsewhere later. With a `wait`,
        block until the local port leads there."""
        name, jupyters = self.jupyter.server.name, self.jupyter.settled(cancel).jupyters
        if not jupyters:
            advice = "Its entry must leave jupyter.port to be found, and it must be connected"
            raise ProblemError(Problem(f"No Jupyter server was found on {name}", advice))
        wanted = command.text("jupyter")
        try:
            chosen = matching(jupyters, wanted)
        except ProblemError:  # it may have been started since the last search
            chosen = matching(self.jupyter.checked(cancel).jupyters, wanted)
        try:
            self.choices.put(name, Choice(chosen.root_dir, chosen.where))
        finally:  # it holds for now even where it cannot be kept
            self.jupyter.tell(CheckAgain())

        def moved(facts: JupyterFacts) -> bool:
            there = facts.jupyters
            return not there or any(j.in_use and j.where == chosen.where for j in there)

        self.jupyter.wait_until(moved, command.wait or 0.0, cancel)
        return {"lines": table(self.jupyter.settled(cancel).jupyters)}

    # --- starting and stopping ---

    def start(self, _command: Command, _cancel: CancelToken) -> None:
        """Start one as the entry says, once there is a link."""
        self._check_startable()
        self.jupyter.tell(Command("start-jupyter", self.jupyter.server.name))

    def tell_losses(self, _command: Command, cancel: CancelToken) -> JSON:
        """What stopping the Jupyter in use now would lose."""
        running = self.running(cancel)
        return {
            "identity": running.identity,
            "label": running.label,
            "losses": running.losses.text,
        }

    def running(self, cancel: CancelToken) -> StopCandidate:
        """The Jupyter in use, and what stopping it now would lose."""
        facts = self.jupyter.settled(cancel)
        page, used = self._page(facts), facts.in_use
        losses = stop.losses(page, cancel)
        identity = stop.identity(page, used, cancel)
        if _process(self.jupyter.settled(cancel).in_use) != _process(used):
            raise ProblemError(
                Problem(
                    f"The Jupyter in use on {self.jupyter.server.name} has just changed",
                    "Look at the new one, and try again.",
                    Recovery.RETRY,
                )
            )
        label = "" if used is None else jupyter_label(replace(used, kernels=None))
        return StopCandidate(identity, losses, label)

    def stop_or_ask(self, command: Command, cancel: CancelToken) -> None:
        """Stop the Jupyter of its `identity` without a question, and block until it has ended; an
        empty one means the Jupyter in use. Without the argument, ask on another thread."""
        if "identity" in command.arguments:
            self.stop(cancel, command.text("identity"))
        else:
            self._ask_first(restart=False)

    def restart_or_ask(self, command: Command, cancel: CancelToken) -> None:
        """The same, and start one as the entry says; returns when the start has begun."""
        if "identity" in command.arguments:
            self.restart(cancel, command.text("identity"))
        else:
            self._ask_first(restart=True)

    def stop(self, cancel: CancelToken, identity: str = "") -> None:
        """Stop the Jupyter of that identity, or the one in use, with all its kernels; returns when
        its process has ended. The tunnel stays."""
        name, facts = self.jupyter.server.name, self.jupyter.settled(cancel)
        current = _process(facts.in_use)
        identity = identity or current
        by_process = bool(_PROCESS.fullmatch(identity))
        if by_process and identity != current:  # the one in use is another, and stays so
            stop.end(self._link().execute, identity, name, cancel)
            self.jupyter.tell(CheckAgain())
            return
        page = self._page(facts)
        # Before it ends: a health check that misses it must not start another one.
        self.jupyter.tell(JupyterStopping())
        done = False
        try:
            self.jupyter.settled(cancel)
            if by_process:
                stop.end(self._link().execute, identity, name, cancel)
            else:
                stop.shut_down(page, cancel, identity)
            done = True
        finally:
            self.jupyter.tell(JupyterStopped(done))

    def restart(self, cancel: CancelToken, identity: str = "") -> None:
        self._check_startable()
        self.stop(cancel, identity)
        self.jupyter.tell(Command("start-jupyter", self.jupyter.server.name))

    def _ask_first(self, *, restart: bool) -> None:
        """On another thread: a question may stay open for hours, and the menu must go on. While one
        is open, bring it to the front."""
        if not self.jupyter.spawn_once("stop-jupyter", lambda cancel: self._ask(restart, cancel)):
            self.desktop.prompter.bring_to_front()

    def _ask(self, restart: bool, cancel: CancelToken) -> None:
        name, running = self.jupyter.server.name, self.running(cancel)
        asked = question(name, running, restart=restart)
        if running.losses and self.desktop.prompter.ask(asked, cancel) is None:
            return
        (self.restart if restart else self.stop)(cancel, running.identity)
        outcome = "was stopped, and is being started again" if restart else "was stopped"
        title = f"Jupyter on {name} {outcome}"
        self.desktop.notifier.notify(Notice(f"stop {name}", title, passing=True, asked=True))

    # --- its log ---

    def tell_log(self, _command: Command, cancel: CancelToken) -> JSON:
        return {"log": self.log(cancel)}

    def show_log(self, _command: Command, _cancel: CancelToken) -> None:
        title = f"{self.jupyter.server.name}: Jupyter's log"
        self.jupyter.spawn_once(
            "jupyter-log", lambda cancel: self.desktop.show_text(title, self.log(cancel))
        )

    def log(self, cancel: CancelToken) -> str:
        """The end of the log of the Jupyter that trayconnect started there."""
        self._check_startable()
        used = self.jupyter.settled(cancel).in_use
        return read_log(self._link().execute, self.jupyter.server, used, cancel)

    def _link(self) -> Link:
        link = self.jupyter.link
        if link is None:
            title = f"{self.jupyter.server.name} is not connected"
            raise ProblemError(Problem(title, "Connect it first", Recovery.RETRY))
        return link

    def _check_startable(self) -> None:
        server = self.jupyter.server
        if server.jupyter.host not in SAME_HOST:
            raise ProblemError(
                Problem(
                    f"Jupyter of {server.name} runs on {server.jupyter.host}",
                    f"Start it there: trayconnect would start it on {server.host}.",
                )
            )

    def _page(self, facts: JupyterFacts) -> Page:
        if facts.page is None:
            advice = "Connect it first"
            if facts.is_linked:
                advice = facts.problem.advice if facts.problem else "Try again in a moment"
            title = f"No Jupyter answers on {self.jupyter.server.name}"
            raise ProblemError(Problem(title, advice, Recovery.RETRY))
        return facts.page


RUNS: Mapping[str, Callable[[JupyterCommands, Command, CancelToken], JSON]] = {
    "start-jupyter": JupyterCommands.start,
    "jupyters": JupyterCommands.list_all,
    "choose-jupyter": JupyterCommands.choose,
    "jupyter-losses": JupyterCommands.tell_losses,
    "stop-jupyter": JupyterCommands.stop_or_ask,
    "restart-jupyter": JupyterCommands.restart_or_ask,
    "jupyter-log": JupyterCommands.tell_log,
    "show-jupyter-log": JupyterCommands.show_log,
}


def question(name: str, running: StopCandidate, *, restart: bool = False) -> Question:
    """Whether to stop it anyway; the safe answer is no."""
    verb = "Restart" if restart else "Stop"
    label = f"It runs in {running.label}.\n" if running.label else ""
    return Question(
        kind=QuestionKind.CONFIRM,
        server=name,
        title=f"{verb} Jupyter on {name}?",
        message=f"{label}{running.losses.text}",
        confirm=f"{verb} Jupyter",
    )


def _process(used: FoundJupyter | None) -> str:
    return f"{used.pid} {used.born}" if used is not None and used.pid and used.born else ""
