"""The threads of the program in this process: each test ends those that it started."""

from __future__ import annotations

import threading
import time
from collections.abc import Set as AbstractSet

LIMIT = 90.0
"""Seconds that threads may take to end on a busy machine."""

UNSTOPPABLE = ("tc-resolve", "tc-agent", "tc-keyring")
"""Threads inside a call of the system that nothing can interrupt: they end when it returns."""


def our_threads() -> list[str]:
    """The names of those that run."""
    return sorted(each.name for each in threading.enumerate() if each.name.startswith("tc-"))


def wait_for_threads(before: AbstractSet[threading.Thread]) -> None:
    """Wait for all but those of `before` to end. An abandoned one, which nobody joins, needs a
    moment. Fails with the names of those that are left."""
    deadline = time.monotonic() + LIMIT
    while left := [
        thread.name
        for thread in set(threading.enumerate()) - before
        if thread.name.startswith("tc-") and not thread.name.startswith(UNSTOPPABLE)
    ]:
        assert time.monotonic() < deadline, f"threads that are still running: {left}"
        time.sleep(0.005)
