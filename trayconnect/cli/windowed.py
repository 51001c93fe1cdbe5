"""Runs the app in the program without a console, where this one has a console (Windows)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from trayconnect.core.command import Command
from trayconnect.core.errors import Problem, ProblemError, Recovery

if TYPE_CHECKING:
    from trayconnect.control.protocol import Reply


def run_windowed(
    program: Path, config: Path | None, connect: tuple[str, ...], *, at_login: bool
) -> Reply | None:
    """Start `program`, and return when it answers: None; or the answer of an app that runs
    already. Raises `ProblemError`."""
    from trayconnect.control.handover import SHOW
    from trayconnect.core import logs
    from trayconnect.core.subprocesses import path_for_others
    from trayconnect.desktop import windowed_program
    from trayconnect.desktop.programs import ProgramError
    from trayconnect.tray.icon_place import PLACE

    found = _reply(SHOW)
    if found is not None:
        return found
    options = (
        *(("--config", str(config)) if config is not None else ()),
        *(("--at-login",) if at_login else ()),
        *(word for name in connect for word in ("--connect", name)),
    )
    title = "trayconnect did not start"
    try:
        code = windowed_program.start(
            [str(program), "run", *options], lambda: _reply(Command("status")) is not None
        )
    except ProgramError as error:
        advice = f"{error}. Look for the reason in the log: {path_for_others(logs.log_file())}"
        raise ProblemError(Problem(title, advice)) from error
    if code:
        raise ProblemError(Problem(title, "A window showed the reason."))
    click.echo(f"trayconnect runs. {PLACE}.")
    return None


def _reply(command: Command) -> Reply | None:
    """The running app's answer; None where there is none, or it is starting or quitting."""
    from trayconnect.control.client import ControlClient, NotRunningError
    from trayconnect.control.place import runtime_folder

    try:
        return ControlClient(runtime_folder()).call(command)
    except NotRunningError:
        return None
    except ProblemError as error:
        if error.problem.recovery is not Recovery.RETRY:
            raise
        return None
