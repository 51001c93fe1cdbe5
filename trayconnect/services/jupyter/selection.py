"""Selects one of a host's Jupyter servers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from posixpath import basename, dirname, normpath

from trayconnect.config.model import Jupyter, Server
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.services.jupyter.discovery import Discovery, RunningServer
from trayconnect.services.jupyter.model import FoundJupyter, is_our_socket
from trayconnect.services.jupyter.selection_store import Choice, LastUsed
from trayconnect.services.jupyter.start import digest


@dataclass(frozen=True, slots=True)
class Picked:
    """The selected server, if there is one."""

    running: RunningServer | None = None
    missing: Choice | None = None
    """The user's choice, if it does not run."""
    instead: RunningServer | None = None
    """The server that would be selected, but runs in another folder than the one last used: open
    browser tabs would save there."""


def candidates(findings: Discovery, jupyter: Jupyter) -> tuple[RunningServer, ...]:
    """The servers that an entry may use; those of a JupyterHub, whose page requires the Hub's
    login, come last."""
    servers = [one for one in findings.servers if _fits(one, jupyter)]
    return tuple(sorted(servers, key=lambda one: one.hub is not None))


def _fits(one: RunningServer, jupyter: Jupyter) -> bool:
    if jupyter.socket is not None:
        return normpath(one.socket) == normpath(jupyter.socket)
    return jupyter.port in ("auto", one.port)


def is_own(one: RunningServer, server: Server, home: str) -> bool:
    """Whether it is what the entry would start. A server that was started by hand is, unless its
    folder or environment differs from the entry's."""
    start, jupyter = server.start, server.jupyter
    if start is None or jupyter.port != "auto" or jupyter.socket is not None:
        return True
    if one.started_as:
        return one.started_as == digest(start)
    folder = expanded(start.folder, home)
    if one.root_dir and folder not in (expanded("~", home), normpath(one.root_dir)):
        return False
    prefix = dirname(dirname(one.python))
    given = start.environment.given if start.environment and len(prefix) > 1 else {}
    match given:
        case {"venv": str(name)}:
            return expanded(name, home) == prefix
        case {"conda": "base"}:
            return "/envs/" not in prefix and prefix not in ("/usr", "/usr/local")
        case {"conda": str(name)}:
            return (expanded(name, home) if "/" in name else name) in (prefix, basename(prefix))
        case _:
            return True


def expanded(path: str, home: str) -> str:
    """A path of the server as start.sh expands it."""
    inside = path[1:].lstrip("/") if path == "~" or path.startswith("~/") else path
    return normpath(inside if inside.startswith("/") else f"{home}/{inside}")


def pick(
    servers: Sequence[RunningServer],
    choice: Choice | None,
    current: RunningServer | None,
    own: Callable[[RunningServer], bool] = lambda _: True,
    *,
    last: LastUsed | None = None,
    may_move: bool = False,
) -> Picked:
    """The one last used as long as it runs, or another of its folder; else the user's choice, also
    on another port; else the one in use; else the first of the entry's own.

    Only with `may_move`, one of another folder replaces the one last used."""
    chosen = [one for one in servers if choice is not None and one.root_dir == choice.root_dir]
    missing = None if chosen else choice
    ours = [one for one in servers if own(one)]
    kept = _kept([*chosen, *ours], last)
    if kept is not None:
        return Picked(kept, missing)
    there = [one for one in chosen if choice is not None and one.where == choice.where]
    found = there or _same(chosen, current) or chosen or _same(ours, current) or ours
    if not found:
        return Picked()
    if last is not None and not may_move:
        return Picked(missing=missing, instead=found[0])
    return Picked(found[0], missing)


def _kept(servers: Sequence[RunningServer], last: LastUsed | None) -> RunningServer | None:
    """The one last used; else one that took its place, or at least runs in its folder."""
    if last is None:
        return None
    there = [one for one in servers if one.root_dir == last.root_dir]
    same = [one for one in there if (one.pid, one.born) == (last.pid, last.born)]
    found = same or [one for one in there if one.where == last.where] or there
    return found[0] if found else None


def _same(servers: Sequence[RunningServer], current: RunningServer | None) -> list[RunningServer]:
    return [one for one in servers if current is not None and one.pid == current.pid]


def listing(
    servers: Sequence[RunningServer],
    in_use: RunningServer | None,
    home: str,
    own: Callable[[RunningServer], bool] = lambda _: True,
) -> tuple[FoundJupyter, ...]:
    """The same for the user."""
    return tuple(
        FoundJupyter(
            where=one.where,
            root_dir=one.root_dir,
            folder=short_folder(one.root_dir, home),
            version=one.version,
            kernels=one.kernels,
            in_use=one == in_use,
            of_hub=one.hub is not None,
            is_own=own(one),
            pid=one.pid,
            born=one.born,
        )
        for one in servers
    )


def short_folder(folder: str, home: str) -> str:
    """With ~ for the home folder."""
    base = home.rstrip("/")
    if base and (folder == base or folder.startswith(f"{base}/")):
        return f"~{folder[len(base) :]}"
    return folder


def matching(jupyters: Sequence[FoundJupyter], words: str) -> FoundJupyter:
    """The one with that port, socket, folder, or last part of the folder.

    Raises `ProblemError` for none or several."""
    wanted = words if words == "/" else words.rstrip("/")
    ways: tuple[Callable[[FoundJupyter], bool], ...] = (
        lambda one: one.where == wanted,
        lambda one: wanted.isdecimal() and one.where.rpartition(":")[2] == wanted,
        lambda one: one.where.isdecimal() and wanted in _usual(one.where),
        lambda one: wanted in (one.root_dir, one.folder),
        lambda one: PurePosixPath(one.root_dir).name == wanted,
    )
    for way in ways:
        found = [one for one in jupyters if way(one)]
        if len(found) == 1:
            return found[0]
        if found:
            one_folder = all(one.folder == found[0].folder for one in found)
            shared = f"run in {found[0].folder}" if one_folder else f"are known by “{words}”"
            title = f"Several Jupyter servers {shared}"
            ports = ", ".join(one.where for one in found)
            raise ProblemError(Problem(title, f"Choose one of them by its port: {ports}"))
    places = ["socket" if is_our_socket(one.where) else one.where for one in jupyters]
    there = "\n".join(f"{place}  {one.folder}" for place, one in zip(places, jupyters, strict=True))
    raise ProblemError(
        Problem(
            f"No Jupyter server is known there by “{words}”",
            f"These run:\n{there}" if there else "None is known to run; connect it first",
        )
    )


def _usual(port: str) -> tuple[str, ...]:
    return tuple(f"{host}:{port}" for host in ("localhost", "127.0.0.1"))
