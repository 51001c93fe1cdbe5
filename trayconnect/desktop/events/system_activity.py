"""Asks the system not to slow the program down.

macOS slows down an app without a window (App Nap): its timers fire late, and with them the
keepalive requests of a link."""

from __future__ import annotations

import importlib
import logging
import sys
from typing import Any

log = logging.getLogger(__name__)

USER_INITIATED_ALLOWING_IDLE_SYSTEM_SLEEP = 0x00FFFFFF & ~(1 << 20)
"""NSActivityUserInitiatedAllowingIdleSystemSleep: the machine itself may sleep."""
REASON = "SSH tunnels are up"


class SystemActivity:
    """`foundation`: PyObjC's Foundation; None on systems that slow no program down."""

    def __init__(self, foundation: Any = None) -> None:  # noqa: ANN401 - PyObjC has no types
        self._foundation = foundation
        self._held: Any = None

    def hold(self, active: bool) -> None:
        """Begin or end the activity; from one thread at a time."""
        if self._foundation is None or active is (self._held is not None):
            return
        process = self._foundation.NSProcessInfo.processInfo()
        if active:
            self._held = process.beginActivityWithOptions_reason_(
                USER_INITIATED_ALLOWING_IDLE_SYSTEM_SLEEP, REASON
            )
        else:
            held, self._held = self._held, None
            process.endActivity_(held)


def make_activity() -> SystemActivity:
    """The activity of this system."""
    if sys.platform == "darwin":
        try:
            return SystemActivity(importlib.import_module("Foundation"))
        except ImportError as error:  # a dependency of pystray
            log.warning("macOS may slow tunnels down: %s", error)
    return SystemActivity()
