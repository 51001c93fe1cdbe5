"""The content of the status window: the lines of the menu, beside their servers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from trayconnect.core.command import Button, Command
from trayconnect.desktop.windows.status import Group, Row, StatusPage
from trayconnect.sessions.snapshot import Snapshot, state_words
from trayconnect.tray.menu import MenuFacts, build_view
from trayconnect.tray.menu_levels import group_lines
from trayconnect.tray.menu_server import (
    needs_you_line,
    server_lines,
    server_submenu,
)
from trayconnect.tray.view import Item

_COMMON = ("connect-all", "disconnect-all", "toggle-autostart")
FILE_PROBLEMS = 3
"""So many are quoted; `trayconnect check` has them all."""


def status_page(snapshots: Sequence[Snapshot], facts: MenuFacts) -> StatusPage:
    """The same choices as the menu's, by the same commands."""
    common = [item for item in build_view(snapshots, facts).items if item.command is not None]
    more = [item for item in common if _of(item).name in _COMMON]
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
        edit=Button("Edit servers…", Command("edit-servers")),
        more=tuple(_button(item) for item in more),
        quit=Button("Quit", Command("quit")),
    )


def _members(snapshots: Sequence[Snapshot], group: str) -> list[Snapshot]:
    return [snapshot for snapshot in snapshots if snapshot.server.group == group]


def _row(snapshot: Snapshot) -> Row:
    toggle, *lines = server_lines(snapshot)
    waiting = [needs_you_line(snapshot)] if snapshot.asking else []
    items = [*waiting, *lines, *_flat(server_submenu(snapshot))]
    page = Command("open", snapshot.name)
    shown = {Command("show-problem", snapshot.name)}
    if snapshot.page is not None:
        shown.add(page)
    more: dict[Command, Item] = {}  # what stands both below the line and in the submenu, once
    for item in items:
        if item.command is not None and item.command not in shown:
            more.setdefault(item.command, item)
    problem = snapshot.problem
    return Row(
        name=snapshot.name,
        words="\n".join([state_words(snapshot), *_lines(snapshot)]),
        icon=build_view((snapshot,), MenuFacts()).icon.value,
        toggle=Button("Disconnect" if toggle.checked else "Connect", _of(toggle)),
        main=None if snapshot.page is None else Button("Open", page),
        more=tuple(_button(item) for item in more.values()),
        problem="" if problem is None else problem.title,
        advice="" if problem is None else problem.advice,
        group=snapshot.server.group or "",
    )


def _lines(snapshot: Snapshot) -> list[str]:
    return [line.text for line in snapshot.service.lines if line.in_menu]


def _flat(items: Iterable[Item]) -> Iterator[Item]:
    """With the lines of submenus in the place of those."""
    for item in items:
        yield from _flat(item.children) if item.children else (item,)


def _of(item: Item) -> Command:
    assert item.command is not None
    return item.command


def _button(item: Item) -> Button:
    return Button(item.text.strip(), _of(item), item.enabled, item.checked)


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
