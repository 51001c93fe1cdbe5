"""Snapshots as the tests of menu, window and status want them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from tests.support.servers import make_server
from trayconnect.services.jupyter.presentation import JupyterFacts, present
from trayconnect.services.jupyter.service import JupyterService
from trayconnect.services.protocol import Level, ServiceStatus
from trayconnect.services.webpage.machine import DirectPage, status
from trayconnect.sessions.manager import Manager
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.sessions.state import State

BASE = Snapshot(
    server=make_server(),
    state=State.OFF,
    since=0.0,
    attempt=1,
    problem=None,
    retry_at=None,
    asking=False,
    latency=None,
)
_FACTS = {field.name for field in fields(JupyterFacts)}


@dataclass(frozen=True, kw_only=True)
class _KnownStatus(ServiceStatus):
    facts: JupyterFacts


def change(snapshot: Snapshot, **changes: Any) -> Snapshot:
    """The same with other fields, or with other facts about its Jupyter."""
    known = {name: value for name, value in changes.items() if name in _FACTS}
    others = {name: value for name, value in changes.items() if name not in _FACTS}
    if "problem" in changes:
        others["problem"] = changes["problem"]
    changed = replace(snapshot, **others)
    is_up = changed.state is State.UP
    if changed.server.kind == "webpage":
        return replace(changed, service=status(DirectPage(changed.server)))
    facts = JupyterFacts()
    if is_up:
        before = snapshot.service
        facts = before.facts if isinstance(before, _KnownStatus) else facts
        facts = replace(facts, **known, is_linked=True)
    shown = present(changed.server, facts)
    values = {field.name: getattr(shown, field.name) for field in fields(ServiceStatus)}
    return replace(changed, service=_KnownStatus(**values, facts=facts))


def snap(**changes: Any) -> Snapshot:
    """An entry that is off, but for these changes."""
    return change(BASE, **changes)


def ready(**changes: Any) -> Snapshot:
    """An entry whose page answers."""
    return snap(**{"state": State.UP, "level": Level.READY, **changes})


def facts(manager: Manager, name: str = "GPU box") -> JupyterFacts:
    """What is known of the Jupyter of a session."""
    service = manager.service(name)
    assert isinstance(service, JupyterService)
    return service.facts
