"""What all sessions come to: the icon, what it moves for, and its tooltip. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from trayconnect.sessions.snapshot import Snapshot, state_words
from trayconnect.sessions.state import State
from trayconnect.tray.labels import clip
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
    """What the icon moves for, if it says that something is being connected.

    Not for a retry that is due: it may be due for hours, and a moving icon wakes the computer."""
    if icon(snapshots) is not IconState.CONNECTING:
        return None
    trying = [
        s.since
        for s in snapshots
        if icon_of(s) is IconState.CONNECTING and s.state is not State.WAITING
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
