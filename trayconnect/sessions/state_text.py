"""A session's state in words: the same in the menu, the window, `status` and the demo. Pure."""

from __future__ import annotations

import time

from trayconnect.services.model import Reached
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.sessions.state import State

UNPROVEN = "Whose Jupyter this is could not be proven"


def state_words(snapshot: Snapshot) -> str:
    """A session's state, as people say it."""
    match snapshot.state:
        case State.OFF:
            return "off"
        case State.CONNECTING:
            return "connecting…"
        case State.UP if snapshot.starting:
            return "starting Jupyter…"
        case State.UP if snapshot.is_ready:
            return "connected"
        case State.UP if snapshot.reached is Reached.PORT:
            what = "web page" if snapshot.server.is_direct else "Jupyter"
            return f"connected, no {what} answers yet"
        case State.UP if snapshot.server.is_direct:
            return (
                "looking for its page…" if snapshot.problem is None else "its page does not answer"
            )
        case State.UP if snapshot.problem is None or not snapshot.looked:
            return "logged in, looking for Jupyter…"
        case State.UP:
            return "connected, but Jupyter does not answer"
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
