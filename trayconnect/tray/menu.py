"""From what is known to what the tray shows. Pure.

The menu: what is wrong with the file, what needs the user, the servers in the file's order with
their groups as submenus, then what concerns all of them, and the program itself. It has at most
`LINES` lines: what stands around the servers is bounded, and they take the room that is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from trayconnect.core.command import Command
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.sessions.state import State
from trayconnect.tray import summary
from trayconnect.tray.menu_levels import LINES, folded, top_level
from trayconnect.tray.menu_server import can_connect, needs_you_line
from trayconnect.tray.summary import primary
from trayconnect.tray.text import INDENT, wrap
from trayconnect.tray.view import Item, View

NO_SERVERS = Item("none", "No servers yet", enabled=False)
FILE_LINES = 3
"""Lines about the mistakes in the file; `trayconnect check` has them all."""
WAITING = 4
"""Lines about servers that wait for the user; the others stand in a submenu."""


@dataclass(frozen=True, slots=True)
class MenuFacts:
    """What the menu shows beside the sessions."""

    autostart: bool | None = None
    """Whether the program starts at login; None if unknown."""
    file_problems: tuple[str, ...] = ()
    """What is wrong with the file as it is saved."""
    file_in_force: bool = True
    """Whether a reading of the file is in force: this one, or an older one that was good."""
    window: bool = True
    """Whether this screen can have the status window."""


def build_view(snapshots: Sequence[Snapshot], facts: MenuFacts) -> View:
    """All that the tray shows for these sessions, in their order."""
    head = [*_file_lines(facts), *_needs_you_lines(snapshots)]
    foot = list(_common_lines(snapshots, facts))
    room = LINES - len(head) - len(foot)
    broken = bool(facts.file_problems)
    if snapshots:
        items = [*head, *top_level(snapshots, room), *foot]
    elif broken and not facts.file_in_force:  # nobody knows its servers
        items = [*head, *foot[1:]]
    else:
        items = [*head, NO_SERVERS, *foot]
    click = primary(snapshots, file_is_broken=broken, window=facts.window)
    return View(
        icon=summary.icon(snapshots),
        title=summary.title(snapshots),
        items=tuple(
            replace(item, children=folded(item.children)) if item.children else item
            for item in items
        ),
        primary=click,
        attempt_since=summary.attempt_since(snapshots),
    )


# --- the parts of the menu, from the top --------------------------------------------------------


def _file_lines(facts: MenuFacts) -> Iterator[Item]:
    if not facts.file_problems:
        return
    count = len(facts.file_problems)
    what = "a problem" if count == 1 else f"{count} problems"
    edit = Command("edit-servers")
    then = "still using the last working version" if facts.file_in_force else "click to fix it"
    yield Item("file", f"⚠ The server file has {what}; {then}", edit)
    lines = [line for problem in facts.file_problems for line in wrap(problem)]
    if len(lines) > FILE_LINES:
        lines[FILE_LINES - 1 :] = ["…"]
    for number, line in enumerate(lines):
        yield Item(f"file {number}", f"{INDENT}{line}", enabled=False)
    yield Item("separator-file", separator=True)


def _needs_you_lines(snapshots: Sequence[Snapshot]) -> Iterator[Item]:
    """Also for those that a submenu hides."""
    waiting = [s for s in snapshots if s.state is State.NEEDS_YOU]
    shown = len(waiting) if len(waiting) <= WAITING else WAITING - 1
    for snapshot in waiting[:shown]:
        yield needs_you_line(snapshot)
    if others := tuple(needs_you_line(snapshot) for snapshot in waiting[shown:]):
        yield Item("needs", f"⚠ {len(others)} more need you", children=others)
    if waiting:
        yield Item("separator-needs", separator=True)


def _common_lines(snapshots: Sequence[Snapshot], facts: MenuFacts) -> Iterator[Item]:
    yield Item("separator-all", separator=True)
    if snapshots:
        connectable = any(can_connect(s) for s in snapshots)
        active = any(s.is_active for s in snapshots)
        connect, disconnect = Command("connect-all"), Command("disconnect-all")
        yield Item("connect-all", "Connect all", connect, enabled=connectable)
        yield Item("disconnect-all", "Disconnect all", disconnect, enabled=active)
        yield Item("separator-app", separator=True)
        if facts.window:
            yield Item("window", "Show in a window", Command("show-status"))
    yield Item("edit", "Edit servers…", Command("edit-servers"))
    if facts.autostart is not None:
        autostart = Command("toggle-autostart")
        yield Item("autostart", "Start at login", autostart, checked=facts.autostart)
    yield Item("quit", "Quit trayconnect", Command("quit"))
