"""The system's clocks."""

from __future__ import annotations

import time


class SystemClock:
    """`dependencies.Clock` over the standard library."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()
