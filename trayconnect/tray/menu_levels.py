"""The servers and groups of one level of the menu, in as many lines as there is room for. Pure.

A level that has no room for everything says less of each server, and then divides them:

1. Every server in the file's order; those in use in full, with what is done next below them.
2. The same, each server in use as one line that opens a submenu.
3. Those in use first, then the others, the last of them divided among submenus.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import TypeAlias

from trayconnect.core.command import Command
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.sessions.state import State
from trayconnect.tray import summary
from trayconnect.tray.menu_server import can_connect, server_line, server_lines, server_submenu
from trayconnect.tray.text import clip
from trayconnect.tray.view import IconState, Item

LINES = 21
"""Lines of one level, separators included. GNOME cannot scroll a menu: so many fit a screen that is
768 pixels high."""
LEVEL_LIMIT = 20
"""Servers in a submenu, which has a line or two beside them."""
TROUBLES = 2
"""Servers whose problem and advice stand on the top level."""

_Entry: TypeAlias = "Snapshot | str"
"""A server, or the name of a group."""
_Groups: TypeAlias = "dict[str, list[Snapshot]]"
_NONE: frozenset[str] = frozenset()


def top_level(snapshots: Sequence[Snapshot], room: int) -> list[Item]:
    """Every server in the file's order, in at most `room` lines (no fewer than 3); a group stands
    where its first member does."""
    entries, groups = _entries(snapshots)
    used = [s for s in entries if isinstance(s, Snapshot) and s.state is not State.OFF]
    troubled = {s.name for s in used if s.problem is not None}
    return _level(entries, groups, room, troubled if len(troubled) > TROUBLES else _NONE)


def folded(items: Sequence[Item]) -> tuple[Item, ...]:
    """Submenus of at most `LINES` lines: what is more stands in one below."""
    shown = tuple(
        Item(item.key, item.text, enabled=item.enabled, children=folded(item.children))
        if item.children
        else item
        for item in items
    )
    if len(shown) <= LINES:
        return shown
    first, rest = shown[: LINES - 1], shown[LINES - 1 :]
    return (*first, Item("rest", "More", children=folded(rest)))


def _entries(snapshots: Sequence[Snapshot]) -> tuple[list[_Entry], _Groups]:
    groups: _Groups = {}
    entries: list[_Entry] = []
    for snapshot in snapshots:
        group = snapshot.server.group
        if group is None:
            entries.append(snapshot)
            continue
        if group not in groups:
            entries.append(group)
        groups.setdefault(group, []).append(snapshot)
    return entries, groups


def _submenu(members: Sequence[Snapshot], room: int) -> list[Item]:
    """One level of servers below the top. In full only where one is in use: the lines of several
    would read the same."""
    used = {s.name for s in members if s.state is not State.OFF}
    return _level(members, {}, room, used if len(used) > 1 else _NONE)


def _level(
    entries: Sequence[_Entry], groups: _Groups, room: int, brief: Collection[str]
) -> list[Item]:
    """`brief` has the names of those that get one line even where there is room for more."""
    used = [s for s in entries if isinstance(s, Snapshot) and s.state is not State.OFF]
    every = {s.name for s in used}
    for names in (brief, every):
        lines = _in_order(entries, groups, names)
        if len(lines) <= room:
            return lines
    alone = [s for s in entries if isinstance(s, Snapshot)]
    off = [s for s in alone if s.state is State.OFF]
    rest = len(groups) + len(off)
    for names, least in ((brief, room // 2), (every, 3)):
        first = list(_lines(used, groups, names))
        if first:
            first.append(Item("separator-active", separator=True))
        left = room - len(first)
        if left >= min(least, rest + 1):
            return [*first, *_shared(groups, off, left)]
    return _shared(groups, alone, room)


def _in_order(entries: Sequence[_Entry], groups: _Groups, brief: Collection[str]) -> list[Item]:
    lines = list(_lines(entries, groups, brief))
    off = [s for s in entries if isinstance(s, Snapshot) and s.state is State.OFF]
    if off:
        # Those in use have theirs right below them.
        details = [Item(f"details {s.name}", clip(s.name), children=tuple(server_submenu(s)))
                   for s in off]  # fmt: skip
        lines.append(Item("details", "Disconnected servers", children=tuple(details)))
    return lines


def _lines(entries: Sequence[_Entry], groups: _Groups, brief: Collection[str]) -> Iterator[Item]:
    told: set[str] = set()
    for entry in entries:
        if isinstance(entry, str):
            yield _group(entry, groups[entry])
        elif entry.name in brief:
            yield server_line(entry)
        else:
            advice = "" if entry.problem is None else entry.problem.advice
            yield from server_lines(entry, advise=advice not in told)
            told.add(advice)


def _shared(groups: _Groups, alone: Sequence[Snapshot], room: int) -> list[Item]:
    """Groups, which somebody has put in order, then servers; divided where they are too many."""
    names: list[_Entry] = list(groups)
    kept = min(_parts_of(len(alone)), max(1, room // 2)) if alone else 0
    lines = (
        list(_lines(names, groups, _NONE))
        if len(names) <= room - kept
        else _parts(names, groups, room - kept)
    )
    left = room - len(lines)
    used = {s.name for s in alone if s.state is not State.OFF}
    shown = len(alone) if len(alone) < left else left - 2  # beside their details, and a part
    if shown < 0 or len(alone) - shown > LEVEL_LIMIT:
        shown = 0
    if shown:
        lines += _in_order(alone[:shown], {}, used)
    return lines + _parts(alone[shown:], {}, left - shown)


def _parts(entries: Sequence[_Entry], groups: _Groups, room: int) -> list[Item]:
    """Submenus of the same size, at most `room` of them."""
    if not entries:
        return []
    size = -(-len(entries) // min(_parts_of(len(entries)), room))
    lines = []
    for start in range(0, len(entries), size):
        part = entries[start : start + size]
        members = [s for e in part for s in (groups[e] if isinstance(e, str) else [e])]
        if len(part) > LEVEL_LIMIT:
            children = _parts(part, groups, LINES)
        elif groups:
            children = list(_lines(part, groups, _NONE))
        else:
            children = _submenu(members, LINES)
        names = [clip(e if isinstance(e, str) else e.name, 28) for e in (part[0], part[-1])]
        text = " … ".join(dict.fromkeys(names)) + _summary(members)
        key = f"part {type(part[0]).__name__} {start}"
        lines.append(Item(key, text, children=tuple(children)))
    return lines


def _parts_of(count: int) -> int:
    return -(-count // LEVEL_LIMIT)


def group_lines(name: str, members: Sequence[Snapshot]) -> tuple[Item, ...]:
    """What can be done with a group as a whole."""
    connectable = any(can_connect(s) for s in members)
    active = any(s.is_active for s in members)
    connect = Command("connect-group", arguments={"group": name})
    disconnect = Command("disconnect-group", arguments={"group": name})
    return (
        Item("connect-group", "Connect all of these", connect, enabled=connectable),
        Item("disconnect-group", "Disconnect all of these", disconnect, enabled=active),
    )


def _group(name: str, members: Sequence[Snapshot]) -> Item:
    common = (Item("separator-group", separator=True), *group_lines(name, members))
    children = (*_submenu(members, LINES - len(common)), *common)
    return Item(f"group {name}", f"{clip(name)}{_summary(members)}", children=children)


def _summary(members: Sequence[Snapshot]) -> str:
    """What goes on behind a line, most pressing first."""
    retrying = sum(s.state is State.WAITING for s in members)
    counts = Counter(summary.icon_of(s) for s in members if s.state is not State.WAITING)
    needing = counts[IconState.NEEDS_YOU]
    words = {
        IconState.NEEDS_YOU: "needs you" if needing == 1 else "need you",
        IconState.FAILED: "failed",
        IconState.CONNECTING: "connecting",
        IconState.SILENT: "silent",
        IconState.UP: "connected",
    }
    parts = []
    for state, text in words.items():
        if counts[state]:
            parts.append(f"{counts[state]} {text}")
        if retrying and state is IconState.FAILED:
            parts.append(f"{retrying} retrying")
    return f": {', '.join(parts)}" if parts else ""
