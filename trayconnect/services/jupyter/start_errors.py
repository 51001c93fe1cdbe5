"""Why Jupyter did not start, for people. Pure."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Callable, Mapping

from trayconnect.config.model import Server
from trayconnect.config.start_options import StartOptions
from trayconnect.core.errors import Problem, Recovery
from trayconnect.services.jupyter.start import StartResult

QUOTED_LINES = 3
"""Of the log's end, in the advice; the detail has all of it."""
QUOTED_FOLDERS = 8
_LONGEST_LINE = 160

_WAYS = {
    "tmux": "in the tmux session {}",
    "screen": "in the screen session {}",
    "systemd": "as the user service {}",
    "setsid": "in a session of its own",
    "nohup": "in the background",
}

_MODULE = re.compile(r"(?:ModuleNotFoundError|ImportError): (.+)")
_PORT = re.compile(r"port (\d+) is already in use", re.IGNORECASE)
_FULL = re.compile(r"No space left on device|Disk quota exceeded")
_OPTION = re.compile(r"unrecognized (?:arguments|flag)s?:? *(.*)|Bad config encountered")
_DENIED = re.compile(r"(?:PermissionError|\[Errno 13\]).*")


def launcher_text(started: StartResult, name: str) -> str:
    """The launcher, for people; `name` is that of its session."""
    return _WAYS.get(started.way, "").format(name)


def failure(started: StartResult, server: Server, limit: float) -> Problem:
    """The problem, and what to do."""
    if not started.answered:
        return Problem(
            f"Jupyter cannot be started on {server.host}",
            "The account's login runs no commands of a POSIX shell: start Jupyter there by hand.",
        )
    if started.ending:
        return Problem(
            f"The last Jupyter on {server.host} has not ended within {limit:g} s",
            "Its kernels may take long to end. Try again in a while, or end it on the server."
            + _end_of(started),
            Recovery.FIX_FIRST,
            started.log,
        )
    if started.timed_out:
        return Problem(
            f"Jupyter did not get ready within {limit:g} s",
            "It is still starting; trayconnect will notice when it answers." + _end_of(started),
            Recovery.RETRY,
            started.log,
        )
    status = started.status or 0
    if status in _TEXTS:
        title, advice = _fixed(started, server, status)
    else:
        title, advice = _BY_STATUS.get(status, _by_log)(started, server)
    return Problem(title, advice, Recovery.FIX_FIRST, _detail(started))


def unreachable(started: StartResult, server: Server, why: Problem) -> Problem:
    """Of a Jupyter on a socket that cannot be reached."""
    ended = (
        f"End the Jupyter that runs there (kill {started.pid})"
        if started.was_running
        else "It was ended again. Look at its log"
    )
    return Problem(
        f"A Jupyter on {server.host} listens on a UNIX socket that cannot be reached",
        f"{ended}, and write 'socket: never' under 'start'. The socket is {started.socket}",
        Recovery.FIX_FIRST,
        why.detail or why.title,
    )


def _detail(started: StartResult) -> str:
    return f"exit status {started.status}\n{started.log}".rstrip()


def _end_of(started: StartResult) -> str:
    lines = [line.strip()[:_LONGEST_LINE] for line in started.log.split("\n") if line.strip()]
    if not lines:
        return ""
    return "\n".join(["\nThe end of its log:", *lines[-QUOTED_LINES:]])


def _command(server: Server) -> str:
    return f"jupyter-{(server.start or StartOptions()).app}"


def _not_found(started: StartResult, server: Server) -> tuple[str, str]:
    start = server.start or StartOptions()
    looked = _looked(started)
    if start.environment is None:
        advice = "Install it there, or write its place as 'environment' under 'start'."
        return f"{_command(server)} was not found on {server.host}", looked + advice
    title = f"{_command(server)} was not found in {start.environment}"
    return title, looked + "Install it there, or correct 'environment' under 'start'."


def _looked(started: StartResult) -> str:
    if not started.looked:
        return ""
    more = len(started.looked) - QUOTED_FOLDERS
    folders = [*started.looked[:QUOTED_FOLDERS], *([f"and {more} more"] if more > 0 else [])]
    return f"Looked in {', '.join(folders)}.\n"


def _no_folder(_started: StartResult, server: Server) -> tuple[str, str]:
    folder = (server.start or StartOptions()).folder
    return (
        f"The folder {folder} on {server.host} cannot be entered",
        "Make it there, or correct 'folder' under 'start'.",
    )


def _no_environment(started: StartResult, server: Server) -> tuple[str, str]:
    start = server.start or StartOptions()
    known = f" There are: {', '.join(started.looked)}." if started.looked else ""
    environment = str(start.environment or "the environment")
    return (
        f"{environment[:1].upper()}{environment[1:]} cannot be used on {server.host}",
        f"Correct 'environment' under 'start'.{known}{_end_of(started)}",
    )


_TEXTS = {
    70: (
        "Nothing can be written into the home folder on {host}",
        "Check whether its disk or quota is full.",
    ),
    73: (
        "There is no safe place for a UNIX socket on {host}",
        "Write 'socket: never' under 'start' to use a port.",
    ),
    74: (
        "No program can be left running on {host}",
        "Neither tmux, screen, systemd-run, setsid nor nohup could start it.",
    ),
    126: (
        "{command} on {host} may not be run",
        "Check its permissions, and those of the Python that it names.",
    ),
    137: (
        "Jupyter was killed on {host} while it started",
        "Most likely its memory ran out: free some, or ask for more.",
    ),
}
"""Title and advice by exit status: see `_BY_STATUS`."""


def _fixed(started: StartResult, server: Server, status: int) -> tuple[str, str]:
    title, advice = _TEXTS[status]
    title = title.format(host=server.host, command=_command(server))
    return title, advice + _end_of(started)


def _ended(started: StartResult, server: Server) -> tuple[str, str]:
    title = f"Jupyter ended on {server.host} with exit status {started.status}"
    number = (started.status or 0) - 128
    if number > 0:
        with contextlib.suppress(ValueError):
            title = f"Jupyter was ended on {server.host} by {signal.Signals(number).name}"
    elif not started.status:
        title = f"Jupyter ended on {server.host} as soon as it began"
    advice = _end_of(started) or "Its log is empty; try the same command on the server."
    return title, advice.lstrip("\n")


def _by_log(started: StartResult, server: Server) -> tuple[str, str]:
    """By the end of its log."""
    log = started.log
    if port := _PORT.search(log):
        return (
            f"Port {port[1]} on {server.host} is taken by another program",
            "Write another 'port' under 'jupyter', or leave it out to use a free one.",
        )
    if _FULL.search(log):
        return _fixed(started, server, 70)
    if modules := _MODULE.findall(log):
        return (
            f"Jupyter is broken on {server.host}: {modules[-1][:_LONGEST_LINE]}",
            "Install what is missing there, or name another 'environment' under 'start'.",
        )
    if _OPTION.search(log):
        return (
            f"Jupyter on {server.host} does not take its options",
            f"Correct 'options' under 'start'.{_end_of(started)}",
        )
    if denied := _DENIED.search(log):
        return (
            f"Jupyter on {server.host} may not do what it needs",
            f"Fix the permissions there: {denied[0][:_LONGEST_LINE]}",
        )
    return _ended(started, server)


_BY_STATUS: Mapping[int, Callable[[StartResult, Server], tuple[str, str]]] = {
    71: _no_folder,
    72: _no_environment,
    127: _not_found,
}
"""Exit statuses of the scripts, of a shell, and of a killed process (128 + SIGKILL)."""
