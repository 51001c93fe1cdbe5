"""`trayconnect demo`: SSH server, tunnel and JupyterLab on this machine, step by step."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from trayconnect.app.program import App, Options
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.demo.setup import NAME, Demo
from trayconnect.sessions.snapshot import Snapshot, state_words
from trayconnect.sessions.state import State

ONCE_LIMIT = 90.0
"""Seconds that `--once` waits for the page."""


class _Watch:
    """Prints each new state of the demo's server once."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._last = ""
        self.over = threading.Event()
        """The page answered, or only the user can go on."""
        self.answered = False
        self.late = False
        self.problem: Problem | None = None

    def see(self, snapshots: tuple[Snapshot, ...]) -> None:
        for snapshot in snapshots:
            if snapshot.name != NAME:
                continue
            self.problem = snapshot.problem
            line = _line(snapshot)
            if line and line != self._last:
                self._say(line)
                self._last = line
            self.answered |= snapshot.is_ready
            given_up = snapshot.state in (State.FAILED, State.NEEDS_YOU) and not snapshot.asking
            if self.answered or given_up:
                self.over.set()


def run(*, once: bool, tray: bool, say: Callable[[str], None]) -> int:
    """Set everything up, connect, and run until the user ends it, or, with `once`, until the page
    answers. Returns the exit code. Raises `ProblemError`."""
    say("Starting an SSH server and a JupyterLab on this machine…")
    with Demo() as demo, tempfile.TemporaryDirectory(prefix="trayconnect-") as runtime:
        say(f"Both are running. The server file: {demo.config_file}")
        watch = _Watch(say)
        app = App(
            Options(
                config=demo.config_file,
                known_hosts=demo.known_hosts,
                ssh_config=Path("none"),
                runtime=Path(runtime),
                tray=tray,
                browser=not once,
                connect=(NAME,),
                refresh_autostart=False,
                on_change=watch.see,
                say=say,
            )
        )
        if not once:
            if not tray:
                say("Ctrl+C ends the demo.")
            app.run()
            return 0
        ender = threading.Thread(target=_end_once, args=(app, watch), name="tc-demo", daemon=True)
        ender.start()
        try:
            app.run()
        finally:
            watch.over.set()
            ender.join(5)
        if not watch.answered:
            raise ProblemError(watch.problem or (_SILENT if watch.late else _ENDED))
        return 0


def _line(snapshot: Snapshot) -> str:
    """A line about the state of the demo's server; empty for none."""
    if snapshot.is_ready and snapshot.page is not None:
        return f"JupyterLab answers through the SSH tunnel: {snapshot.page.link}"
    match snapshot.state:
        case State.CONNECTING:
            return "Connecting over SSH…"
        case State.UP:
            return "Logged in over SSH; waiting for JupyterLab…"
        case State.OFF:
            return ""
        case _:
            words = state_words(snapshot)
            return f"{snapshot.problem} ({words})" if snapshot.problem else words.capitalize()


def _end_once(app: App, watch: _Watch) -> None:
    watch.late = not watch.over.wait(ONCE_LIMIT)
    app.stop("the demo is over")


_SILENT = Problem(
    f"The demo's page did not answer within {ONCE_LIMIT:g} s",
    "Is the machine very busy? Try again; --verbose logs more",
)
_ENDED = Problem(
    "The demo was ended before its page answered", "Start it again with: trayconnect demo"
)
