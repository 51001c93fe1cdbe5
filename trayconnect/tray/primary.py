"""What a left click does where a panel keeps the menu for the right one. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from trayconnect.core.command import Command
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.sessions.state import State
from trayconnect.tray.menu_server import can_connect


def primary(
    snapshots: Sequence[Snapshot], *, file_is_broken: bool, window: bool = True
) -> Command | None:
    """The most useful single thing to do now: what needs the user, else what a click on the only
    server would mean, else the only page, else all there is to see, where a window can be shown."""
    if file_is_broken or not snapshots:
        return Command("edit-servers")
    needing = next((s for s in snapshots if s.state is State.NEEDS_YOU), None)
    if needing is not None:
        return Command("answer" if needing.asking else "connect", needing.name)
    pages = [s for s in snapshots if s.page is not None]
    if len(pages) == 1:
        return Command("open", pages[0].name)
    if len(snapshots) == 1 and (can_connect(snapshots[0]) or snapshots[0].state is State.WAITING):
        return Command("connect", snapshots[0].name)
    return Command("show-status") if window else None
