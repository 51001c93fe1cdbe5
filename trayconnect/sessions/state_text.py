"""A session's state in words: the same in the menu, the window, `status` and the demo. Pure."""

from __future__ import annotations

import time

from trayconnect.sessions.snapshot import Snapshot
from trayconnect.sessions.state import State


def state_words(snapshot: Snapshot) -> str:
    """A session's state, as people say it."""
    match snapshot.state:
        case State.OFF:
            return "off"
        case State.CONNECTING:
            return "connecting…"
        case State.UP:
            return snapshot.service.words
        case State.WAITING:
            return f"retrying at {clock(snapshot.retry_at or snapshot.since)}"
        case State.NEEDS_YOU if snapshot.asking:
            return "waiting for your answer"
        case State.NEEDS_YOU:
            return "needs you"
        case State.CLOSING:
            return "disconnecting…"
        case State.FAILED if snapshot.retry_at is not None:
            return f"failed, retrying at {clock(snapshot.retry_at)}"
        case State.FAILED:
            return "failed"


def clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))
