"""What a runner knows of one attempt."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from trayconnect.config.model import Forward, Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.link import Link
from trayconnect.services.model import Reached

LOOK_READY = 60.0
LOOKS = ((30, 1.0), (60, 5.0), (120, 15.0), (math.inf, 30.0))
"""Seconds between two looks at what answers: when it does, and while it does not, up to that many
looks."""
LOOK_ASKED = 2.0
"""The same, at least, while a browser asks for it."""


@dataclass(slots=True)
class Attempt:
    """One attempt, and what came of it."""

    attempt: int
    server: Server
    cancel: CancelToken
    tunnel: Link | None = None
    looks: int = 0
    ready: bool = False
    next_look: float = 0.0
    """On the monotonic clock."""
    asked_look: float = 0.0
    """The earliest time of a look because a browser asks."""
    next_pages: float = 0.0
    """The same, for a look at the forwards' pages."""
    refused: dict[str, Forward] = field(default_factory=dict)
    """The remote forwards that the server refused, by their names."""
    asked_again: int = 0
    next_ask: float = 0.0
    """On the monotonic clock."""

    def looked(self, reached: Reached, took: float) -> None:
        """Note what a look found, and set the time of the next one."""
        self.ready = reached >= Reached.JUPYTER
        self.looks = 0 if self.ready else self.looks + 1
        now = time.monotonic()
        self.next_look = now + (LOOK_READY if self.ready else look_wait(self.looks))
        self.asked_look = now + max(LOOK_ASKED, took)


def look_wait(looks: int) -> float:
    """Seconds until the next look, after so many that found nothing."""
    return next(wait for most, wait in LOOKS if looks < most)
