"""From what is known to what the tray shows. Pure.

The menu: what is wrong with the file, what needs the user, the servers in the file's order with
their groups as submenus, then what concerns all of them, and the program itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trayconnect.session.snapshot import Snapshot
from trayconnect.session.state import State
from trayconnect.tray import overall
from trayconnect.tray.menu_server import (
    can_connect,
    needs_you_line,
    server_lines,
    server_submenu,
)
from trayconnect.tray.primary import primary
from trayconnect.tray.view import Action, IconState, Item, Verb, View
from trayconnect.tray.words import ADVICE_LINES, INDENT, clip, wrap

LEVEL_LIMIT = 20
"""Servers and groups in one menu; more are divided among submenus, as no screen is high enough."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the menu shows beside the sessions."""

    autostart: bool | None = None
    """Whether the program starts at login; None where that cannot be told."""
    file_problems: tuple[str, ...] = ()
    """What is wrong with the file as it is saved."""
    file_in_force: bool = True
    """Whether a reading of the file is in force: this one, or an older one that was good."""


def build_view(snapshots: Sequence[Snapshot], facts: Facts) -> View:
    """All that the tray shows for these sessions, in their order."""
    items = (
        *_file_lines(facts),
        *_needs_you_lines(snapshots),
        *_server_part(snapshots),
        *_common_lines(snapshots, facts),
    )
    click = primary(snapshots, file_is_broken=bool(facts.file_problems))
    return View(
        icon=overall.icon(snapshots),
        title=overall.title(snapshots),
        items=items,
        primary=click,
        attempt_since=overall.attempt_since(snapshots),
    )


# --- the parts of the menu, from the top --------------------------------------------------------


def _file_lines(facts: Facts) -> Iterator[Item]:
    if not facts.file_problems:
        return
    count = len(facts.file_problems)
    what = "a problem" if count == 1 else f"{count} problems"
    edit = Action(Verb.EDIT_SERVERS)
    then = "the last good one is in force" if facts.file_in_force else "click to mend it"
    yield Item("file", f"⚠ The server file has {what}; {then}", edit)
    for number, problem in enumerate(facts.file_problems[:ADVICE_LINES]):
        for part, line in enumerate(wrap(problem)):
            yield Item(f"file {number} {part}", f"{INDENT}{line}", enabled=False)
    yield Item("separator-file", separator=True)


def _needs_you_lines(snapshots: Sequence[Snapshot]) -> Iterator[Item]:
    """Also for those that a submenu hides."""
    waiting = [s for s in snapshots if s.state is State.NEEDS_YOU]
    for snapshot in waiting[:LEVEL_LIMIT]:
        yield needs_you_line(snapshot)
    if waiting:
        yield Item("separator-needs", separator=True)


def _server_part(snapshots: Sequence[Snapshot]) -> Iterator[Item]:
    """Every server in the file's order; a group stands where its first member does."""
    if not snapshots:
        yield Item("none", "No servers yet", enabled=False)
        return
    groups: dict[str, list[Snapshot]] = {}
    entries: list[Snapshot | str] = []
    for snapshot in snapshots:
        group = snapshot.server.group
        if group is None:
            entries.append(snapshot)
            continue
        if group not in groups:
            entries.append(group)
        groups.setdefault(group, []).append(snapshot)
    if len(entries) <= LEVEL_LIMIT:
        yield from _level(entries, groups)
        return
    alone = [entry for entry in entries if isinstance(entry, Snapshot)]
    yield from _active_lines([s for s in alone if s.state is not State.OFF])
    yield from _level(list(groups), groups)  # somebody has put these in order
    yield from _level(alone, groups)


def _common_lines(snapshots: Sequence[Snapshot], facts: Facts) -> Iterator[Item]:
    yield Item("separator-all", separator=True)
    if snapshots:
        connectable = any(can_connect(s) for s in snapshots)
        active = any(s.is_active for s in snapshots)
        connect, disconnect = Action(Verb.CONNECT_ALL), Action(Verb.DISCONNECT_ALL)
        yield Item("connect-all", "Connect all", connect, enabled=connectable)
        yield Item("disconnect-all", "Disconnect all", disconnect, enabled=active)
        yield Item("separator-app", separator=True)
        yield Item("window", "Show in a window", Action(Verb.SHOW_STATUS))
    yield Item("edit", "Edit servers…", Action(Verb.EDIT_SERVERS))
    if facts.autostart is not None:
        autostart = Action(Verb.TOGGLE_AUTOSTART)
        yield Item("autostart", "Start at login", autostart, checked=facts.autostart)
    yield Item("quit", "Quit trayconnect", Action(Verb.QUIT))


# --- servers and their groups -------------------------------------------------------------------


def _active_lines(snapshots: Sequence[Snapshot]) -> Iterator[Item]:
    """Where the servers are divided among submenus, those in use come first, in full."""
    for snapshot in snapshots[:LEVEL_LIMIT]:
        yield from server_lines(snapshot)
    if snapshots:
        yield Item("separator-active", separator=True)


def _level(entries: Sequence[Snapshot | str], groups: dict[str, list[Snapshot]]) -> Iterator[Item]:
    """One menu of servers and groups, divided evenly where there are too many for it."""
    if len(entries) > LEVEL_LIMIT:
        parts = -(-len(entries) // LEVEL_LIMIT)
        size = -(-len(entries) // min(parts, LEVEL_LIMIT))
        for start in range(0, len(entries), size):
            part = entries[start : start + size]
            text = f"{clip(_name(part[0]), 28)} … {clip(_name(part[-1]), 28)}"
            key = f"part {type(part[0]).__name__} {start}"
            yield Item(key, text, children=tuple(_level(part, groups)))
        return
    for entry in entries:
        if isinstance(entry, Snapshot):
            yield from server_lines(entry)
        else:
            yield _group(entry, groups[entry])
    off = [s for s in entries if isinstance(s, Snapshot) and s.state is State.OFF]
    if off:
        # Those in use have theirs right below them.
        details = [Item(f"details {s.name}", clip(s.name), children=tuple(server_submenu(s)))
                   for s in off]  # fmt: skip
        yield Item("details", "Details of those that are off", children=tuple(details))


def _group(name: str, members: Sequence[Snapshot]) -> Item:
    connectable = any(can_connect(s) for s in members)
    active = any(s.is_active for s in members)
    connect = Action(Verb.CONNECT_GROUP, group=name)
    disconnect = Action(Verb.DISCONNECT_GROUP, group=name)
    children = (
        *_level(members, {}),
        Item("separator-group", separator=True),
        Item("connect-group", "Connect all of these", connect, enabled=connectable),
        Item("disconnect-group", "Disconnect all of these", disconnect, enabled=active),
    )
    return Item(f"group {name}", f"{clip(name)}{_summary(members)}", children=children)


def _summary(members: Sequence[Snapshot]) -> str:
    """What goes on behind a group's line, most pressing first."""
    counts = Counter(overall.icon_of(s) for s in members)
    words = {
        IconState.NEEDS_YOU: "needs you",
        IconState.FAILED: "failed",
        IconState.CONNECTING: "connecting",
        IconState.SILENT: "silent",
        IconState.UP: "connected",
    }
    parts = [f"{counts[state]} {text}" for state, text in words.items() if counts[state]]
    return f": {', '.join(parts)}" if parts else ""


def _name(entry: Snapshot | str) -> str:
    return entry.name if isinstance(entry, Snapshot) else entry
