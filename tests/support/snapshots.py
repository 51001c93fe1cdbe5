"""Snapshots as the tests of menu, window and status want them."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from tests.support.servers import make_server
from trayconnect.services.jupyter.presentation import JupyterFacts, facts_of, present
from trayconnect.services.model import Level
from trayconnect.services.webpage.service import DirectPage, direct_status
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


def change(snapshot: Snapshot, **changes: Any) -> Snapshot:
    """The same with other fields, or with other facts about its Jupyter."""
    known = {name: value for name, value in changes.items() if name in _FACTS}
    others = {name: value for name, value in changes.items() if name not in _FACTS}
    if "problem" in changes:
        others["problem"] = changes["problem"]
    changed = replace(snapshot, **others)
    is_up = changed.state is State.UP
    facts = replace(facts_of(snapshot.service), **known, is_linked=is_up)
    if not is_up:
        facts = JupyterFacts()
    if changed.server.is_direct:
        return replace(changed, service=direct_status(DirectPage(changed.server)))
    return replace(changed, service=present(changed.server, facts))


def snap(**changes: Any) -> Snapshot:
    """An entry that is off, but for these changes."""
    return change(BASE, **changes)


def ready(**changes: Any) -> Snapshot:
    """An entry whose page answers."""
    return snap(**{"state": State.UP, "level": Level.READY, **changes})


def facts(snapshot: Snapshot) -> JupyterFacts:
    """What is known of its Jupyter."""
    return facts_of(snapshot.service)
