"""The commands on a Jupyter that may take long: stopping and restarting it, with a question first
where something would be lost, and reading its log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trayconnect.actions.dispatcher import Handler, telling
from trayconnect.actions.jupyter_commands import START_WAIT, JupyterCommands, Running
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import Command
from trayconnect.core.notices import Notice, Notifier
from trayconnect.core.questions import Prompter, Question, QuestionKind
from trayconnect.sessions.snapshot import Snapshot

JOIN_LIMIT = 5.0


@dataclass(frozen=True, slots=True)
class _Stop:
    thread: threading.Thread
    cancel: CancelToken


class JupyterStops:
    """One conversation a server, on a thread of its own: a question may stay open for hours, and
    the menu must go on. From any thread."""

    def __init__(self, jupyter: JupyterCommands, prompter: Prompter, notifier: Notifier) -> None:
        self._jupyter = jupyter
        self._prompter = prompter
        self._notifier = notifier
        self._lock = threading.Lock()
        self._under_way: dict[str, _Stop] = {}

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {"stop-jupyter": self._stop, "restart-jupyter": self._restart}

    def _stop(self, command: Command, cancel: CancelToken) -> None:
        """Where it names an `identity`, stop that one, whatever runs there, and block until it has
        ended; an empty one is of the Jupyter in use. Else ask first."""
        if "identity" in command.arguments:
            self._jupyter.stop(command.server, cancel, command.text("identity"))
        else:
            self.begin(command.server)

    def _restart(self, command: Command, cancel: CancelToken) -> Snapshot | None:
        """The same, and start one again."""
        if "identity" not in command.arguments:
            self.begin(command.server, restart=True)
            return None
        server = self._jupyter.restart(command.server, cancel, command.text("identity"))
        return self._jupyter.start_and_wait(server, command.wait or START_WAIT, cancel)

    def begin(self, name: str, *, restart: bool = False) -> None:
        """Returns at once. While one is under way, its question comes to the front."""
        if not self._spawn(name, lambda cancel: self._converse(name, restart, cancel)):
            self._prompter.bring_to_front()

    def read_log(self, name: str, show: Callable[[str], None]) -> None:
        """Returns at once; `show` is called with the log, on another thread."""
        self._spawn(f"{name}\nlog", lambda cancel: show(self._jupyter.log(name, cancel)))

    def _spawn(self, name: str, job: Callable[[CancelToken], None]) -> bool:
        """False if one of that name is under way."""
        cancel, server = CancelToken(), name.partition("\n")[0]
        thread = threading.Thread(
            target=self._run,
            args=(server, job, cancel),
            name=f"tc-stop-jupyter {server}",
            daemon=True,
        )
        with self._lock:
            before = self._under_way.get(name)
            if before is not None and before.thread.is_alive():
                return False
            self._under_way[name] = _Stop(thread, cancel)
            thread.start()
        return True

    def close(self) -> None:
        """Withdraw what is under way, and join the threads."""
        with self._lock:
            stops = tuple(self._under_way.values())
            self._under_way.clear()
        for stop in stops:
            stop.cancel.set()
        for stop in stops:
            stop.thread.join(JOIN_LIMIT)

    def _run(self, name: str, job: Callable[[CancelToken], None], cancel: CancelToken) -> None:
        with telling(self._notifier, f"stop {name}", f"{name}: a command for Jupyter"):
            job(cancel)

    def _converse(self, name: str, restart: bool, cancel: CancelToken) -> None:
        running = self._jupyter.running(name, cancel)
        if running.losses:
            asked = question(name, running, restart=restart)
            if self._prompter.ask(asked, cancel) is None:
                return
        if restart:
            self._jupyter.restart(name, cancel, running.identity)
        else:
            self._jupyter.stop(name, cancel, running.identity)
        came = "was stopped, and is being started again" if restart else "was stopped"
        done = Notice(f"stop {name}", f"Jupyter on {name} {came}", passing=True, asked=True)
        self._notifier.notify(done)


def question(name: str, running: Running, *, restart: bool = False) -> Question:
    """Whether to stop it anyway; the safe answer is no."""
    verb = "Restart" if restart else "Stop"
    label = f"It runs in {running.label}.\n" if running.label else ""
    return Question(
        kind=QuestionKind.CONFIRM,
        server=name,
        title=f"{verb} Jupyter on {name}?",
        message=f"{label}{running.losses.words}",
        confirm=f"{verb} Jupyter",
    )
