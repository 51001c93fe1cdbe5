"""Runs the app in the program without a console, where this one has a console (Windows)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from trayconnect.errors import Problem, ProblemError, Remedy

if TYPE_CHECKING:
    from trayconnect.control.protocol import Reply, Request


def run_windowed(
    program: Path, config: Path | None, connect: tuple[str, ...], *, at_login: bool
) -> Reply | None:
    """Start `program` and wait until it answers: None. Where an app runs already, its reply.
    Raises `ProblemError`."""
    from trayconnect import logs
    from trayconnect.control.protocol import Command, Request
    from trayconnect.desktop import windowed
    from trayconnect.desktop.programs import ProgramError
    from trayconnect.icon_place import PLACE
    from trayconnect.processes import path_for_others

    found = _reply(Request(Command.SHOW))
    if found is not None:
        return found
    options = (
        *(("--config", str(config)) if config is not None else ()),
        *(("--at-login",) if at_login else ()),
        *(word for name in connect for word in ("--connect", name)),
    )
    title = "trayconnect did not start"
    try:
        code = windowed.start(
            [str(program), "run", *options], lambda: _reply(Request(Command.STATUS)) is not None
        )
    except ProgramError as error:
        advice = f"{error}. Look for the reason in the log: {path_for_others(logs.log_file())}"
        raise ProblemError(Problem(title, advice)) from error
    if code:
        raise ProblemError(Problem(title, "A window showed the reason."))
    click.echo(f"trayconnect runs. {PLACE}.")
    return None


def _reply(request: Request) -> Reply | None:
    """The running app's answer; None where there is none, or it is starting or quitting."""
    from trayconnect.control.client import ControlClient, NotRunningError
    from trayconnect.control.place import runtime_folder

    try:
        return ControlClient(runtime_folder()).call(request)
    except NotRunningError:
        return None
    except ProblemError as error:
        if error.problem.remedy is not Remedy.WAIT:
            raise
        return None
