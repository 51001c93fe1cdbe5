"""The script that a batch job runs, and what the scripts for a login node share. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from shlex import quote

from trayconnect.config.model import Server
from trayconnect.services.batch.job import job_name
from trayconnect.services.batch.relay.program import job_lines
from trayconnect.services.jupyter.discovery import script as jupyters
from trayconnect.services.jupyter.start import assignments, program, quoted, wanted

_PLACES = (
    "/opt/slurm/bin:/opt/slurm/current/bin:/usr/slurm/bin:/usr/local/slurm/bin:"
    "/cm/shared/apps/slurm/current/bin:/usr/local/bin:/usr/bin:/bin"
)
"""Where a login without a profile does not look."""


def job_script(server: Server, mark: str) -> str:
    """The script of a job of the entry, without its first lines (see `submit.sh`), which tell what
    only the login node knows. `mark`: see `Request.mark`."""
    around = {
        "name": job_name(server.name),
        "mark": mark,
        "limit": str(server.batch.seconds if server.batch else 0),
        "program": program(server),
    }
    before = jupyters("process.sh", "sockets.sh") + assignments(wanted(server) | around)
    before += job_lines(server.batch.reach if server.batch else "")
    return before + jupyters("locate.sh") + text("job.sh")


def login_script(name: str, scheduler: str, find: str, values: Mapping[str, str]) -> str:
    """A script for the login node: the file `name`, behind what it needs. `scheduler` is the text
    of the scheduler's functions, `find` the line that finds its commands."""
    shared = jupyters("process.sh") + text("report.sh")
    finder = f"find_commands() {{ {find}; }}\n"
    return shared + scheduler + finder + assignments(values) + text(name)


def text(name: str) -> str:
    """The text of a script, with the line ends of sh."""
    return (
        files("trayconnect.services.batch").joinpath(name).read_text("utf-8").replace("\r\n", "\n")
    )


def finding(command: str, variables: str, rest: str = ":") -> str:
    """A line of sh that makes a command of the scheduler known, from the usual folders or from what
    a login shell exports: PATH, and the names that match `variables`, an extended regular
    expression. `rest`: what else must be true. Without a line break: a login shell may be csh,
    which allows none in quotes. Without a backslash before a quote: it may be fish."""
    login = "exec sh -c 'echo @@ENV; export -p'"
    keep = f"^export (PATH|{variables})="
    known = f"{{ command -v {command} && {rest}; }} >/dev/null 2>&1"
    return (
        f"PATH=$PATH:{_PLACES}; export PATH; {known} || "
        f'eval "$(timeout 15 "${{SHELL:-sh}}" -lc {quote(login)} </dev/null 2>/dev/null | '
        f"sed '1,/^@@ENV$/d' | grep -E {quote(keep)})\""
    )


def with_options(options: Sequence[str]) -> str:
    """A function of sh that runs its arguments with these after them, each as one word."""
    words = "".join(f" {quoted(option)}" for option in options)
    return f'submit_with() {{ "$@"{words}; }}\n'
