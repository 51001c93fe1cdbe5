"""All sessions in one: the icon and its animation, the tooltip, the primary action. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from trayconnect.core.command import Command
from trayconnect.sessions.snapshot import Snapshot, state_words
from trayconnect.sessions.state import State
from trayconnect.tray.menu_server import can_connect
from trayconnect.tray.text import clip
from trayconnect.tray.view import IconState


def icon(snapshots: Sequence[Snapshot]) -> IconState:
    """The most pressing of all states."""
    states = {icon_of(snapshot) for snapshot in snapshots}
    pressing = (
        IconState.NEEDS_YOU,
        IconState.FAILED,
        IconState.CONNECTING,
        IconState.SILENT,
        IconState.UP,
    )
    return next((state for state in pressing if state in states), IconState.OFF)


def icon_of(snapshot: Snapshot) -> IconState:
    match snapshot.state:
        case State.UP if snapshot.is_ready:
            return IconState.UP
        case State.UP if snapshot.problem is None:
            return IconState.CONNECTING
        case State.UP:
            return IconState.SILENT
        case State.CONNECTING | State.WAITING:
            return IconState.CONNECTING
        case State.NEEDS_YOU:
            return IconState.NEEDS_YOU
        case State.FAILED:
            return IconState.FAILED
        case State.OFF | State.CLOSING:
            return IconState.OFF


def attempt_since(snapshots: Sequence[Snapshot]) -> float | None:
    """When the latest attempt began, if the icon shows that one is under way.

    A retry that is due does not count, nor a job in the queue: both may last for hours, and a
    moving icon wakes the computer."""
    if icon(snapshots) is not IconState.CONNECTING:
        return None
    trying = [
        s.since
        for s in snapshots
        if icon_of(s) is IconState.CONNECTING
        and s.state is not State.WAITING
        and (s.state is not State.UP or s.service.expects_page or s.service.in_progress)
    ]
    return max(trying, default=None)


def title(snapshots: Sequence[Snapshot]) -> str:
    """The tooltip: each session that is not off, and no more lines than a tooltip takes."""
    active = [s for s in snapshots if s.state is not State.OFF]
    if not active:
        return "trayconnect: not connected"
    lines = [f"{clip(s.name, 40)}: {state_words(s)}" for s in active[:5]]
    more = len(active) - len(lines)
    return "\n".join([*lines, f"and {more} more"] if more else lines)


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
