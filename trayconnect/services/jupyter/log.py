"""Reads the log of a Jupyter that trayconnect started, with one remote command."""

from __future__ import annotations

import re

from trayconnect.config.model import Server
from trayconnect.core import remote_script, sanitize
from trayconnect.core.abandonable import abandonable
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.command import name_on_command_line
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.services.jupyter.discovery import LIMIT, Execute
from trayconnect.services.jupyter.discovery import script as text_of
from trayconnect.services.jupyter.model import FoundJupyter
from trayconnect.services.jupyter.problems import shell_ran_nothing
from trayconnect.services.jupyter.start import assignments, session_name

_BEGIN = "@@trayconnect log 1\n"
_LINE_LENGTH = 4000
_SECRET = re.compile(
    r"(?i)((?:token|password|passphrase|secret|_xsrf|api_?key)\w*(?:=|%3d|: ?)|\bcode(?:=|%3d))"
    r"[^\s&\"'<>]+"
    r"|(\b(?:token|bearer) )[^\s&\"'<>]{8,}"
    r"|(://[^\s/@:]*:)[^\s/@]+(?=@)"
)
_OF_JUPYTER = re.compile(r"(?<![0-9a-f])[0-9a-f]{48}(?![0-9a-f])")
"""A token as Jupyter makes it."""


def read_log(
    execute: Execute, server: Server, used: FoundJupyter | None, cancel: CancelToken
) -> str:
    """The end of the log of the Jupyter in use, or of the last one that was started for the entry
    if none is in use; its first line is the path.

    Raises `ProblemError` if trayconnect started none or nothing can be read, and `Cancelled`."""
    process = {"pid": str(used.pid), "when": used.born} if used else {"pid": "0", "when": ""}
    text = text_of("process.sh")
    text += assignments({"name": session_name(server), **process}) + text_of("log.sh")
    done = abandonable(
        lambda: execute(remote_script.COMMAND, remote_script.stdin(text), LIMIT),
        f"tc-log {server.name}",
        cancel,
    )
    output = done.stdout.decode("utf-8", "replace").replace("\r\n", "\n")
    _, begins, report = output.partition(f"\n{_BEGIN}")
    path, found, rest = report.removeprefix("@@log ").partition("\n")
    if not begins:
        host = server.host or server.name
        raise ProblemError(shell_ran_nothing(host, sanitize.end_of(done.stderr)))
    if found and report.startswith("@@log "):
        lines = rest.rpartition("\n@@end")[0]
        return f"{clean(path)}\n\n{clean(lines)}\n"
    if used is not None:
        raise ProblemError(
            Problem(
                f"The Jupyter in use on {server.name} was not started by trayconnect",
                "Its log is where it was started: in that terminal, or in that job's output.",
            )
        )
    raise ProblemError(
        Problem(
            f"trayconnect has started no Jupyter on {server.name} yet",
            f"Start one with: trayconnect start {name_on_command_line(server.name)}",
        )
    )


def clean(log: str) -> str:
    """Remove control sequences, tokens and passwords."""
    return "\n".join(_clean_line(line) for line in log.split("\n"))


def _clean_line(line: str) -> str:
    # A progress bar overwrites itself.
    line = line.rstrip("\r")[:_LINE_LENGTH].rpartition("\r")[2]
    line = sanitize.unarmed(line.expandtabs())
    return _OF_JUPYTER.sub("…", _SECRET.sub(lambda found: f"{found[found.lastindex or 0]}…", line))
