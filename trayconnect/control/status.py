"""Snapshots as the JSON that `trayconnect status --json` prints, and as lines for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from trayconnect.core.errors import Problem
from trayconnect.services.jupyter.activity import Activity
from trayconnect.services.jupyter.activity_text import activity_words
from trayconnect.services.model import FoundJupyter, Memory, PageState, is_our_socket
from trayconnect.sessions.forwards import ForwardState
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.sessions.state_text import UNPROVEN, state_words

PAGE_WORDS = {
    PageState.OTHERS.value: " (belongs to another user)",
    PageState.UNPROVEN.value: " (owner not proven)",
}


def to_json(snapshots: Iterable[Snapshot], file_problem: Problem | None = None) -> dict[str, Any]:
    """The whole status. States and layers are in lower case; `since` is seconds since the epoch;
    no token shows. `file_problem` is what is wrong with the server file."""
    servers = [_server(snapshot) for snapshot in snapshots]
    return {"servers": servers, "file_problem": _problem(file_problem)}


def _server(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "name": snapshot.name,
        "state": snapshot.state.value,
        "words": state_words(snapshot),
        "reached": snapshot.reached.name.lower() if snapshot.reached else None,
        "url": snapshot.page.url if snapshot.page else None,
        "local_port": None if snapshot.server.is_direct else snapshot.server.local_port,
        "since": snapshot.since,
        "problem": _problem(snapshot.problem),
        "attempt": snapshot.attempt,
        "latency_ms": None if snapshot.latency is None else round(snapshot.latency * 1000, 1),
        "starting": snapshot.starting,
        "runs_in": snapshot.launcher or None,
        "kernels": None if snapshot.kernels is None else _kernels(snapshot.kernels),
        "forwards": [_forward(forward) for forward in snapshot.forwards],
        "notes": list(snapshot.notes),
        "jupyters": [_jupyter(jupyter) for jupyter in snapshot.jupyters],
        "unproven": snapshot.unproven,
    }


def _jupyter(jupyter: FoundJupyter) -> dict[str, Any]:
    return {
        "where": jupyter.where,
        "folder": jupyter.folder,
        "version": jupyter.version,
        "kernels": jupyter.kernels,
        "in_use": jupyter.in_use,
        "of_hub": jupyter.of_hub,
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


def _kernel_words(kernels: dict[str, Any]) -> str:
    used, limit = kernels["memory_bytes"], kernels["memory_limit_bytes"]
    busy, idle = kernels["busy"], kernels["idle"]
    return activity_words(
        Activity(
            at=kernels["at"],
            busy=busy,
            idle=idle,
            other=kernels["total"] - busy - idle,
            busy_since=kernels["busy_since"],
            last_activity=kernels["last_activity"],
            memory=None if used is None else Memory(used, limit),
        )
    )


def _forward(forward: ForwardState) -> dict[str, Any]:
    return {
        "name": forward.name,
        "kind": forward.kind.value,
        "listens": forward.listens,
        "leads_to": forward.leads_to or None,
        "address": forward.address,
        "url": forward.url,
        "up": forward.is_up,
        "answers": forward.answers,
        "page": forward.page.value if forward.page else None,
        "problem": _problem(forward.problem),
    }


def _problem(problem: Problem | None) -> dict[str, str] | None:
    return {"title": problem.title, "advice": problem.advice} if problem else None


def to_lines(status: dict[str, Any]) -> list[str]:
    """A table of what `to_json` gave, for a terminal."""
    servers: Sequence[dict[str, Any]] = status["servers"]
    lines = []
    if problem := status.get("file_problem"):
        lines = [problem["title"], *(f"    {line}" for line in problem["advice"].splitlines())]
    if not servers:
        return lines or ["No servers yet. `trayconnect check` names the file to write them in."]
    width = max(len(server["name"]) for server in servers)
    for server in servers:
        state = server["words"]
        link = server["url"] or ""
        lines.append(f"{server['name']:<{width}}  {state:<24} {link}".rstrip())
        if server.get("starting"):
            lines.append("    Jupyter is being started")
        elif where := server.get("runs_in"):
            lines.append(f"    Jupyter runs {where}")
        if server.get("unproven"):
            lines.append(f"    {UNPROVEN}")
        if kernels := server.get("kernels"):
            lines += [f"    {words}"] if (words := _kernel_words(kernels)) else []
        forwards = server.get("forwards", ()) if server["state"] != "off" else ()
        problem = server["problem"]
        if problem and problem not in [forward["problem"] for forward in forwards]:
            indent = " " * (min(width, 20) + 4)
            text = f"{problem['title']}. {problem['advice']}".rstrip()
            lines += [indent + line for line in text.splitlines()]
        for forward in forwards:
            lines.append(f"    {_arrow(forward)}")
            if problem := forward["problem"]:
                lines.append(f"        {problem['title']}. {problem['advice']}")
    return lines


def to_jupyter_lines(status: dict[str, Any]) -> list[str]:
    """The Jupyter servers of the servers that `to_json` gave, as a table for a terminal; the one
    in use is marked."""
    rows = [
        (
            "*" if one["in_use"] else " ",
            "socket" if is_our_socket(one["where"]) else one["where"],
            one["folder"],
            "" if one["kernels"] is None else f"kernels: {one['kernels']}",
            "of a JupyterHub" if one["of_hub"] else one["version"],
        )
        for server in status["servers"]
        for one in server["jupyters"]
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)] if rows else []
    lines = []
    for mark, *cells, last in rows:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append(f"{mark} {'  '.join([*padded, last])}".rstrip())
    return lines


def _arrow(forward: dict[str, Any]) -> str:
    """The forward from where it listens to where it leads, and whether it carries."""
    leads = f" → {forward['leads_to']}" if forward["leads_to"] else ""
    # A name of its own; any other was made of the two ends.
    is_named = not any(sign in forward["name"] for sign in ("→", "←", "SOCKS "))
    name = f"{forward['name']}: " if is_named else ""
    note = " (no answer yet)" if forward.get("answers") is False else ""
    note = PAGE_WORDS.get(forward.get("page") or "", note)
    return f"{name}{forward['listens']}{leads}" + (note if forward["up"] else " (not up)")
