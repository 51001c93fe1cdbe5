"""What the menu says, in words and in lines that fit. Pure."""

from __future__ import annotations

import textwrap
import time

from trayconnect.ports import FoundJupyter, Reached
from trayconnect.session.snapshot import Snapshot
from trayconnect.session.state import State

WIDTH = 64
"""Characters of a line; longer texts are wrapped or clipped, since menus do neither."""
INDENT = "    "
ADVICE_LINES = 6


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
            return "looking for its page…" if snapshot.problem is None else "its page is silent"
        case State.UP if snapshot.problem is None or not snapshot.looked:
            return "logged in, looking for Jupyter…"
        case State.UP:
            return "connected, Jupyter is silent"
        case State.WAITING:
            return f"retrying at {clock(snapshot.retry_at or snapshot.since)}"
        case State.NEEDS_YOU if snapshot.asking:
            return "waits for your answer"
        case State.NEEDS_YOU:
            return "needs you"
        case State.CLOSING:
            return "disconnecting…"
        case State.FAILED:
            return "failed"


def jupyter_words(jupyter: FoundJupyter) -> str:
    """One of a host's Jupyter servers, as people tell them apart."""
    is_socket = jupyter.where.startswith("/")
    words = [jupyter.folder] if jupyter.folder else []
    words.append(f"socket {jupyter.where}" if is_socket else f"port {jupyter.where}")
    if jupyter.kernels is not None:
        words.append(f"{jupyter.kernels} kernel{'' if jupyter.kernels == 1 else 's'}")
    if jupyter.of_hub:
        words.append("of a JupyterHub")
    return ", ".join(words)


def clip(text: str, width: int = WIDTH) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def wrap(text: str) -> list[str]:
    """Lines that fit; those of the text itself are kept, since a command or a fingerprint has one
    to itself."""
    lines = [line for part in text.splitlines() for line in textwrap.wrap(part, WIDTH)]
    return lines if len(lines) <= ADVICE_LINES else [*lines[: ADVICE_LINES - 1], "…"]


def clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))
