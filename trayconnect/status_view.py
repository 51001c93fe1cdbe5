"""What the status window shows: the lines of the menu, put beside their servers. Pure."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence

from trayconnect.desktop.status_wire import Button, Icons, Row, StatusPage
from trayconnect.session.snapshot import Snapshot
from trayconnect.tray.icon import picture
from trayconnect.tray.menu import Facts, build_view, state_words
from trayconnect.tray.view import Action, IconState, Item, Verb

ICON_SIZES = (24, 30, 36, 42, 48, 60, 72, 96)
"""Pixels, for screens of 100 % to 400 %."""
FILE_PROBLEMS = 3
"""So many are quoted; `trayconnect check` has them all."""


def status_page(snapshots: Sequence[Snapshot], facts: Facts) -> StatusPage:
    """The same choices as the menu's, by the same actions."""
    common = [item for item in _actions(build_view(snapshots, facts).items) if not _of(item).server]
    more = [item for item in common if _of(item).verb not in (Verb.EDIT_SERVERS, Verb.QUIT)]
    return StatusPage(
        rows=tuple(_row(snapshot) for snapshot in snapshots),
        notice=_notice(facts),
        edit=Button("Edit servers…", encode(Action(Verb.EDIT_SERVERS))),
        more=tuple(_button(item) for item in more),
        quit=Button("Quit", encode(Action(Verb.QUIT))),
    )


def encode(action: Action) -> str:
    """An action as the order of a button."""
    return json.dumps([action.verb.value, action.server, action.forward])


def decode(order: str) -> Action:
    """Raises `ValueError` for anything that `encode` did not make."""
    try:
        verb, server, forward = json.loads(order)
        return Action(Verb(verb), str(server), str(forward))
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
    view = build_view((snapshot,), Facts())
    items = [item for item in _actions(view.items) if _of(item).server == snapshot.name]
    toggle = next(item for item in items if item.key == f"server {snapshot.name}")
    page = Action(Verb.OPEN, snapshot.name)
    opening = next((item for item in items if item.action == page), None)
    hidden = (toggle, opening)
    problem = snapshot.problem
    return Row(
        name=snapshot.name,
        words=state_words(snapshot),
        icon=view.icon.value,
        toggle=Button("Disconnect" if toggle.checked else "Connect", encode(_of(toggle))),
        main=None if opening is None else _button(opening),
        more=tuple(
            _button(item)
            for item in items
            if item not in hidden and _of(item).verb is not Verb.SHOW_PROBLEM
        ),
        problem="" if problem is None else problem.title,
        advice="" if problem is None else problem.advice,
    )


def _actions(items: Sequence[Item]) -> Iterator[Item]:
    """All lines that do something, also those of submenus."""
    for item in items:
        if item.action is not None:
            yield item
        yield from _actions(item.children)


def _of(item: Item) -> Action:
    assert item.action is not None
    return item.action


def _button(item: Item) -> Button:
    mark = "" if item.checked is None else ("✓ " if item.checked else "    ")
    return Button(mark + item.text.strip(), encode(_of(item)), item.enabled)


def _notice(facts: Facts) -> str:
    if not facts.file_problems:
        return ""
    what = (
        "The server file cannot be used; the last good one is in force:"
        if facts.file_in_force
        else "The server file cannot be used:"
    )
    quoted = facts.file_problems[:FILE_PROBLEMS]
    more = len(facts.file_problems) - len(quoted)
    return "\n".join([f"⚠ {what}", *quoted, *([f"and {more} more"] if more else [])])
