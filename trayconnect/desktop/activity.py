"""Keeps the system from slowing this process down while tunnels are up.

macOS slows down an app without a window (App Nap): its timers come late, and so do the keepalives
that hold a tunnel.
"""

from __future__ import annotations

import importlib
import logging
import sys
from typing import Any

log = logging.getLogger(__name__)

USER_INITIATED_ALLOWING_IDLE_SYSTEM_SLEEP = 0x00FFFFFF & ~(1 << 20)
"""NSActivityUserInitiatedAllowingIdleSystemSleep: the machine itself may sleep."""
REASON = "SSH tunnels are up"


class Activity:
    """`foundation`: PyObjC's Foundation; None where nothing slows a program down."""

    def __init__(self, foundation: Any = None) -> None:  # noqa: ANN401 - PyObjC has no types
        self._foundation = foundation
        self._held: Any = None

    def hold(self, wanted: bool) -> None:
        """Begin or end the activity. For one thread at a time."""
        if self._foundation is None or wanted is (self._held is not None):
            return
        process = self._foundation.NSProcessInfo.processInfo()
        if wanted:
            self._held = process.beginActivityWithOptions_reason_(
                USER_INITIATED_ALLOWING_IDLE_SYSTEM_SLEEP, REASON
            )
        else:
            held, self._held = self._held, None
            process.endActivity_(held)


def make_activity() -> Activity:
    """The one of this system."""
    if sys.platform == "darwin":
        try:
            return Activity(importlib.import_module("Foundation"))
        except ImportError as error:  # pystray brings it
            log.warning("macOS may slow tunnels down: %s", error)
    return Activity()
