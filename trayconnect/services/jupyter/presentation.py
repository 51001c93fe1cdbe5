"""The Jupyter of an entry as data for menu, windows, command line and JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from trayconnect.config.model import SAME_HOST, Server
from trayconnect.core.command import Command
from trayconnect.core.errors import Problem
from trayconnect.core.notices import Notice, Urgency, open_page
from trayconnect.core.page import Page
from trayconnect.services.jupyter.activity import Activity, activity_text
from trayconnect.services.jupyter.model import FoundJupyter, Health, is_our_socket
from trayconnect.services.protocol import Level, Line, Offer, ServiceStatus

UNPROVEN = "Whose Jupyter this is could not be proven"


@dataclass(frozen=True, slots=True)
class JupyterFacts:
    """The Jupyter of an entry at one moment."""

    is_linked: bool = False
    level: Level = Level.NOTHING
    page: Page | None = None
    problem: Problem | None = None
    browser_pending: bool = False
    checks: int = 0
    looked: bool = True
    """Whether the search for Jupyters worked."""
    hindered: bool = False
    """Whether something must change first, such as a server that forbids forwarding, before a
    Jupyter could be reached."""
    starting: bool = False
    launcher: str = ""
    """The launcher of the Jupyter that was started: "in the tmux session …"."""
    jupyters: tuple[FoundJupyter, ...] = ()
    kernels: Activity | None = None
    """None if unknown."""
    unproven: bool = False
    """Whether the owner of the Jupyter behind the local port is unknown."""

    @property
    def is_ready(self) -> bool:
        return self.level >= Level.READY

    @property
    def in_use(self) -> FoundJupyter | None:
        """The Jupyter behind the local port, if it was found."""
        return next((one for one in self.jupyters if one.in_use), None)

    @property
    def can_stop(self) -> bool:
        """Whether the Jupyter in use can be stopped."""
        used = self.in_use
        by_process = used is not None and bool(used.pid and used.born)
        return self.page is not None and (by_process or bool(self.page.token))

    def can_start(self, server: Server) -> bool:
        """Whether to offer a start: no page answers, and no Jupyter of the user is known on this
        host."""
        waits = self.is_linked and not self.is_ready and not self.starting
        return waits and server.jupyter.host in SAME_HOST and self.looked and not self.hindered


def present(server: Server, facts: JupyterFacts) -> ServiceStatus:
    """The same as data of the protocol."""
    return ServiceStatus(
        level=facts.level,
        page=facts.page,
        problem=facts.problem,
        state_text=_state(facts),
        lines=tuple(_lines(facts)),
        commands=tuple(_commands(server, facts)),
        in_progress=facts.starting,
        browser_pending=facts.browser_pending,
        checks=facts.checks,
        json=_json(facts),
    )


def table(jupyters: Sequence[FoundJupyter]) -> list[str]:
    """One line for each; the one in use is marked."""
    return aligned(
        (
            "*" if one.in_use else " ",
            "socket" if is_our_socket(one.where) else one.where,
            one.folder,
            "" if one.kernels is None else f"kernels: {one.kernels}",
            "of a JupyterHub" if one.of_hub else one.version,
        )
        for one in jupyters
    )


def aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """The lines of a table; the first cell of each row is its mark."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for mark, *cells in rows:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append(f"{mark} {'  '.join(padded)}".rstrip())
    return lines


def jupyter_label(jupyter: FoundJupyter) -> str:
    """A label that distinguishes the Jupyters of one host."""
    words = [jupyter.folder] if jupyter.folder else []
    if not jupyter.where.startswith("/"):
        words.append(f"port {jupyter.where}")
    elif not is_our_socket(jupyter.where):
        words.append(f"socket {jupyter.where}")
    if jupyter.kernels is not None:
        words.append(f"{jupyter.kernels} kernel{'' if jupyter.kernels == 1 else 's'}")
    if jupyter.of_hub:
        words.append("of a JupyterHub")
    return ", ".join(words) or "on a socket"


def moved(server: str, health: Health) -> Notice:
    """The local port leads to a Jupyter of another folder."""
    folder = next((one.folder or one.where for one in health.jupyters if one.in_use), "")
    return Notice(
        tag=f"moved {server}",
        title=f"{server} now leads to the Jupyter in {folder}",
        body=f"Close the browser tabs of {health.left}: they would save in {folder}.",
        urgency=Urgency.CRITICAL,
        buttons=(open_page(server),),
    )


def _state(facts: JupyterFacts) -> str:
    if facts.starting:
        return "starting Jupyter…"
    if facts.is_ready:
        return "connected"
    if facts.level is Level.REACHABLE:
        return "connected, no Jupyter answers yet"
    if facts.problem is None or not facts.looked:
        return "logged in, looking for Jupyter…"
    return "connected, but Jupyter does not answer"


def _lines(facts: JupyterFacts) -> Iterator[Line]:
    if facts.starting:
        yield Line("starting", "Jupyter is being started", in_menu=False)
    elif facts.launcher:
        yield Line("launcher", f"Jupyter runs {facts.launcher}", in_menu=False)
    if facts.kernels is not None and (words := activity_text(facts.kernels)):
        yield Line("kernels", words)
    if facts.unproven:
        yield Line("unproven", UNPROVEN)


def _commands(server: Server, facts: JupyterFacts) -> Iterator[Offer]:
    name = server.name
    if facts.jupyters:
        yield Offer("jupyters", "Jupyter servers", children=tuple(_choices(name, facts)))
    if facts.is_ready:
        allowed = facts.can_stop
        stop, restart = Command("stop-jupyter", name), Command("restart-jupyter", name)
        yield Offer("stop-jupyter", "Stop Jupyter…", stop, enabled=allowed)
        yield Offer("restart-jupyter", "Restart Jupyter…", restart, enabled=allowed)
    else:
        start, allowed = Command("start-jupyter", name), facts.can_start(server)
        yield Offer("start-jupyter", "Start Jupyter", start, enabled=allowed, mends=True)
    if facts.is_linked:
        yield Offer("jupyter-log", "Show Jupyter's log", Command("show-jupyter-log", name))


def _choices(name: str, facts: JupyterFacts) -> Iterator[Offer]:
    """The Jupyters that run there; the one behind the local port is checked."""
    for one in facts.jupyters:
        command = Command("choose-jupyter", name, {"jupyter": one.where})
        yield Offer(
            f"jupyter {one.where}", jupyter_label(one), command, checked=one.in_use, radio=True
        )


def _json(facts: JupyterFacts) -> dict[str, Any]:
    return {
        "starting": facts.starting,
        "runs_in": facts.launcher or None,
        "kernels": None if facts.kernels is None else _kernels(facts.kernels),
        "jupyters": [_jupyter(one) for one in facts.jupyters],
        "unproven": facts.unproven,
    }


def _jupyter(one: FoundJupyter) -> dict[str, Any]:
    return {
        "where": one.where,
        "folder": one.folder,
        "version": one.version,
        "kernels": one.kernels,
        "in_use": one.in_use,
        "of_hub": one.of_hub,
    }


def _kernels(kernels: Activity) -> dict[str, Any]:
    memory = kernels.memory
    return {
        "at": kernels.at,
        "total": kernels.total,
        "busy": kernels.busy,
        "idle": kernels.idle,
        "busy_since": kernels.busy_since,
        "last_activity": kernels.last_activity,
        "memory_bytes": memory.used if memory else None,
        "memory_limit_bytes": memory.limit if memory else None,
    }
