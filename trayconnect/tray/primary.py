"""What a left click does where a panel keeps the menu for the right one. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from trayconnect.sessions.snapshot import Snapshot
from trayconnect.sessions.state import State
from trayconnect.tray.menu_server import can_connect
from trayconnect.tray.view import Action, Verb


def primary(
    snapshots: Sequence[Snapshot], *, file_is_broken: bool, window: bool = True
) -> Action | None:
    """The most useful single thing to do now: what needs the user, else what a click on the only
    server would mean, else the only page, else all there is to see, where a window can be shown."""
    if file_is_broken or not snapshots:
        return Action(Verb.EDIT_SERVERS)
    needing = next((s for s in snapshots if s.state is State.NEEDS_YOU), None)
    if needing is not None:
        return Action(Verb.ANSWER if needing.asking else Verb.CONNECT, needing.name)
    pages = [s for s in snapshots if s.page is not None]
    if len(pages) == 1:
        return Action(Verb.OPEN, pages[0].name)
    if len(snapshots) == 1 and (can_connect(snapshots[0]) or snapshots[0].state is State.WAITING):
        return Action(Verb.CONNECT, snapshots[0].name)
    return Action(Verb.SHOW_STATUS) if window else None
