"""What the status window shows: the lines of the menu, put beside their servers. Pure."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence

from trayconnect.desktop.windows.status_wire import Button, Group, Icons, Row, StatusPage
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.sessions.state_text import state_words
from trayconnect.tray.icon import picture
from trayconnect.tray.menu import MenuFacts, build_view
from trayconnect.tray.menu_levels import group_lines
from trayconnect.tray.menu_server import (
    kernel_words,
    needs_you_line,
    server_lines,
    server_submenu,
)
from trayconnect.tray.view import Action, IconState, Item, Verb

ICON_SIZES = (24, 30, 36, 42, 48, 60, 72, 96)
"""Pixels, for screens of 100 % to 400 %."""
_COMMON = (Verb.CONNECT_ALL, Verb.DISCONNECT_ALL, Verb.TOGGLE_AUTOSTART)
FILE_PROBLEMS = 3
"""So many are quoted; `trayconnect check` has them all."""


def status_page(snapshots: Sequence[Snapshot], facts: MenuFacts) -> StatusPage:
    """The same choices as the menu's, by the same actions."""
    common = [item for item in build_view(snapshots, facts).items if item.action is not None]
    more = [item for item in common if _of(item).verb in _COMMON]
    names = dict.fromkeys(snapshot.server.group for snapshot in snapshots)
    order = [name for name in names if name is None] + [name for name in names if name]
    return StatusPage(
        rows=tuple(_row(s) for name in order for s in snapshots if s.server.group == name),
        groups=tuple(
            Group(
                name, tuple(_button(item) for item in group_lines(name, _members(snapshots, name)))
            )
            for name in order
            if name
        ),
        notice=_notice(facts),
        edit=Button("Edit servers…", encode(Action(Verb.EDIT_SERVERS))),
        more=tuple(_button(item) for item in more),
        quit=Button("Quit", encode(Action(Verb.QUIT))),
    )


def _members(snapshots: Sequence[Snapshot], group: str) -> list[Snapshot]:
    return [snapshot for snapshot in snapshots if snapshot.server.group == group]


def encode(action: Action) -> str:
    """An action as the order of a button."""
    return json.dumps(
        [action.verb.value, action.server, action.forward, action.group, action.jupyter]
    )


def decode(order: str) -> Action:
    """Raises `ValueError` for anything that `encode` did not make."""
    try:
        verb, server, forward, group, jupyter = json.loads(order)
        return Action(Verb(verb), str(server), str(forward), str(group), str(jupyter))
    except TypeError as error:
        raise ValueError(f"not an order: {order!r}") from error


def icons() -> Icons:
    """The pictures of all states."""
    return {state.value: {size: _png(state, size) for size in ICON_SIZES} for state in IconState}


def _png(state: IconState, size: int) -> bytes:
    file = io.BytesIO()
    picture(state, size).save(file, "PNG")
    return file.getvalue()


def _row(snapshot: Snapshot) -> Row:
    toggle, *lines = server_lines(snapshot)
    waiting = [needs_you_line(snapshot)] if snapshot.asking else []
    items = [*waiting, *lines, *_flat(server_submenu(snapshot))]
    page = Action(Verb.OPEN, snapshot.name)
    shown = {Action(Verb.SHOW_PROBLEM, snapshot.name)}
    if snapshot.page is not None:
        shown.add(page)
    more: dict[Action, Item] = {}  # what stands both below the line and in the submenu, once
    for item in items:
        if item.action is not None and item.action not in shown:
            more.setdefault(item.action, item)
    problem = snapshot.problem
    return Row(
        name=snapshot.name,
        words="\n".join(filter(None, (state_words(snapshot), kernel_words(snapshot)))),
        icon=build_view((snapshot,), MenuFacts()).icon.value,
        toggle=Button("Disconnect" if toggle.checked else "Connect", encode(_of(toggle))),
        main=None if snapshot.page is None else Button("Open", encode(page)),
        more=tuple(_button(item) for item in more.values()),
        problem="" if problem is None else problem.title,
        advice="" if problem is None else problem.advice,
        group=snapshot.server.group or "",
    )


def _flat(items: Iterable[Item]) -> Iterator[Item]:
    """With the lines of submenus in the place of those."""
    for item in items:
        yield from _flat(item.children) if item.children else (item,)


def _of(item: Item) -> Action:
    assert item.action is not None
    return item.action


def _button(item: Item) -> Button:
    return Button(item.text.strip(), encode(_of(item)), item.enabled, item.checked)


def _notice(facts: MenuFacts) -> str:
    if not facts.file_problems:
        return ""
    what = (
        "The server file cannot be used; still using the last working version:"
        if facts.file_in_force
        else "The server file cannot be used:"
    )
    quoted = facts.file_problems[:FILE_PROBLEMS]
    more = len(facts.file_problems) - len(quoted)
    return "\n".join([f"⚠ {what}", *quoted, *([f"and {more} more"] if more else [])])
