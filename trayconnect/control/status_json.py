"""Snapshots as the JSON that `trayconnect status --json` prints. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from trayconnect.core.errors import Problem
from trayconnect.core.link import Traffic
from trayconnect.sessions.forwards import ForwardState
from trayconnect.sessions.snapshot import Snapshot, state_words


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
        "traffic": _traffic(snapshot.traffic),
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


def _traffic(traffic: Traffic | None) -> dict[str, int] | None:
    """Open connections of the forwards, and the bytes of all since the login."""
    if traffic is None:
        return None
    connections, sent, received = traffic.connections, traffic.sent, traffic.received
    return {"connections": connections, "sent": sent, "received": received}


def _problem(problem: Problem | None) -> dict[str, str] | None:
    return {"title": problem.title, "advice": problem.advice} if problem else None
