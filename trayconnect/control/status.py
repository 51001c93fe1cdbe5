"""Snapshots as the JSON that `trayconnect status --json` prints, and as lines for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from trayconnect.core.errors import Problem
from trayconnect.services.protocol import PageState
from trayconnect.sessions.forwards import ForwardState
from trayconnect.sessions.snapshot import Snapshot, state_words

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
        "reached": snapshot.level.label if snapshot.level else None,
        "url": snapshot.page.url if snapshot.page else None,
        "local_port": snapshot.server.page_port,
        "since": snapshot.since,
        "problem": _problem(snapshot.problem),
        "attempt": snapshot.attempt,
        "latency_ms": None if snapshot.latency is None else round(snapshot.latency * 1000, 1),
        "forwards": [_forward(forward) for forward in snapshot.forwards],
        "notes": list(snapshot.notes),
        "lines": [line.text for line in snapshot.service.lines],
        **snapshot.service.json,
    }


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
        lines += [f"    {line}" for line in server.get("lines", ())]
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


def _arrow(forward: dict[str, Any]) -> str:
    """The forward from where it listens to where it leads, and whether it carries."""
    leads = f" → {forward['leads_to']}" if forward["leads_to"] else ""
    # A name of its own; any other was made of the two ends.
    is_named = not any(sign in forward["name"] for sign in ("→", "←", "SOCKS "))
    name = f"{forward['name']}: " if is_named else ""
    note = " (no answer yet)" if forward.get("answers") is False else ""
    note = PAGE_WORDS.get(forward.get("page") or "", note)
    return f"{name}{forward['listens']}{leads}" + (note if forward["up"] else " (not up)")
