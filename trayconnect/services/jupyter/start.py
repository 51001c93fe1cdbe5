"""Starts a Jupyter that outlives the login, with one remote command."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trayconnect.config.model import Server, name_key
from trayconnect.config.start_options import StartOptions
from trayconnect.core import remote_script, sanitize
from trayconnect.services.jupyter.discovery import Execute
from trayconnect.services.jupyter.discovery import script as text_of

LIMIT = 120
"""Seconds for Jupyter to get ready; Python takes long from a busy file server."""
SEARCH_LIMIT = 45.0
"""Seconds for everything before that: the account's start-up files, and five launchers."""

_BEGIN = "@@trayconnect start 1"
_NAME_LENGTH = 24
_LOG_LENGTH = 20_000
_TOKEN = re.compile(r"(token=)[^\s&\"'<>]+")

_LEARN = """
for one in plain login; do
    state=${0%/*}
    [ ! -s "$state/$one.env" ] || . "$state/$one.env"
done
"""
"""The account's environment comes first: it may use our names too."""


@dataclass(frozen=True, slots=True)
class StartResult:
    """The result that the script reports."""

    answered: bool = False
    """Whether the script ran at all."""
    pid: int | None = None
    """Of the Jupyter that is ready."""
    was_running: bool = False
    """Whether it was running before, or another start was under way."""
    way: str = ""
    """The launcher: tmux, screen, systemd, setsid or nohup."""
    socket: str = ""
    """The path of the UNIX socket it listens on, instead of a port."""
    status: int | None = None
    """The exit status of Jupyter, or of the attempt to start it."""
    timed_out: bool = False
    ending: bool = False
    """Whether the previous Jupyter did not end in time."""
    looked: tuple[str, ...] = ()
    """Folders in which no Jupyter was found."""
    log: str = ""
    """The end of its log, without its token."""
    born: str = ""
    """When the process that is ready began; empty if unknown."""


def start(execute: Execute, server: Server, limit: int = LIMIT) -> StartResult:
    """Start it as the entry says, or find one that an earlier start left running; returns when its
    runtime file exists, or it failed. Raises `ProblemError` as `execute` does."""
    completed = execute(
        remote_script.COMMAND, remote_script.stdin(script(server, limit)), limit + SEARCH_LIMIT
    )
    return parse(completed.stdout.decode("utf-8", "replace"))


def session_name(server: Server) -> str:
    """Of the tmux or screen session, and of the folder of its state: the same on every machine with
    that entry, another one after a change of what to start."""
    key, what = name_key(server.name), digest(server.start)
    meant = key if what == digest(None) else f"{key}\n{what}"
    told = hashlib.sha256(meant.encode()).hexdigest()[:8]
    plain = re.sub(r"[^a-z0-9]+", "-", key).strip("-")[:_NAME_LENGTH].strip("-")
    return "-".join(part for part in ("trayconnect", plain, told) if part)


def digest(start: StartOptions | None) -> str:
    """Equal for entries that start the same Jupyter: same folder and environment."""
    start = start or StartOptions()
    folder = start.folder
    if not folder.startswith(("/", "~")):
        folder = f"~/{folder}"
    given = start.environment.given if start.environment else {}
    meant = json.dumps([posixpath.normpath(folder), given])
    return hashlib.sha256(meant.encode()).hexdigest()[:16]


def script(server: Server, limit: int) -> str:
    """The script for the standard input of sh: no value is ever an argument."""
    what = wanted(server)
    around = {
        "name": session_name(server),
        "what": digest(server.start),
        "sock": server.jupyter.socket or "",
        "sharing": (server.start or StartOptions()).socket,
        "limit": str(limit),
        "program": program(server),
    }
    before = text_of("process.sh", "sockets.sh") + assignments(what | around)
    return before + text_of("locate.sh", "start.sh")


def wanted(server: Server) -> dict[str, str]:
    """The variables of sh that say what to start."""
    how = server.start or StartOptions()
    given = how.environment.given if how.environment else {}
    kind, where = next(iter(given.items()), ("", ""))
    port = server.jupyter.port
    return {
        "app": how.app,
        "folder": how.folder,
        # Without a folder in the entry, the account's configuration may name one.
        "shown": "yes" if "folder" in how.model_fields_set else "",
        "kind": kind,
        "where": where if isinstance(where, str) else " ".join(where),
        "port": "0" if port == "auto" else str(port),
    }


def program(server: Server) -> str:
    """The text of the program that becomes Jupyter; see `run.sh`."""
    options = (server.start or StartOptions()).options
    before = text_of("process.sh") + _LEARN + assignments(wanted(server))
    return before + become(options) + text_of("run.sh")


def assignments(values: Mapping[str, str]) -> str:
    """Lines of sh that set variables to exactly these values."""
    return "".join(f"{name}={quoted(value)}\n" for name, value in values.items())


def become(options: Sequence[str]) -> str:
    """A function of sh that executes Jupyter with these options after its arguments."""
    words = "".join(f" {quoted(option)}" for option in options)
    return f'become() {{ exec "jupyter-$app" "$@"{words}; }}\n'


def quoted(text: str) -> str:
    """One quoted word for every POSIX shell, and for zsh, which expands a plain `=x`; NUL, which no
    shell can hold, is removed."""
    inner = text.replace("\0", "").replace("'", "'\\''")
    return f"'{inner}'"


def parse(output: str) -> StartResult:
    """Read the output of `start.sh`."""
    _, begin, report = output.replace("\r", "").partition(f"\n{_BEGIN}\n")
    if not begin:
        return StartResult()
    head, _, rest = report.partition("\n@@log\n") if "@@log\n" in report else (report, "", "")
    given = dict(line[2:].partition(" ")[::2] for line in head.split("\n") if line[:2] == "@@")
    looked = given.get("looked", "").split(":")
    log = _TOKEN.sub(r"\1…", sanitize.end_of(rest.rpartition("\n@@end")[0], _LOG_LENGTH))
    return StartResult(
        answered=True,
        pid=_number(given.get("ready")),
        born=sanitize.exact(given.get("born")),
        was_running="running" in given or "following" in given,
        way=sanitize.exact(given.get("way")),
        socket=sanitize.exact(given.get("sock")),
        status=_number(given.get("failed")),
        timed_out="timeout" in given,
        ending="ending" in given,
        looked=tuple(dict.fromkeys(filter(None, map(sanitize.line, looked)))),
        log="\n".join(line.rstrip() for line in log.split("\n") if line.strip()),
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"[0-9]{1,18}", text) else None
