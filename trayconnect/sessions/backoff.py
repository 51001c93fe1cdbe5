"""How long to wait before trying again."""

from __future__ import annotations

FIRST = 1.0
"""Seconds before the first retry."""
LONGEST = 60.0
"""Seconds; no wait is longer, but for what a problem says."""
SLOW = 300.0
"""Seconds between the retries of what only another network can mend (`Recovery.NETWORK`)."""
STABLE = 30.0
"""A tunnel that lived for so many seconds has earned a fresh start."""


def delay(failures: int, chance: float, least: float = 0.0) -> float:
    """Seconds to wait after that many failures in a row (at least one), and no less than `least`.

    Doubles from `FIRST` to `LONGEST`. `chance`, in [0, 1), spreads the wait over its upper half,
    so that a lab full of laptops does not return to its server in step.
    """
    doubled = FIRST * 2.0 ** min(failures - 1, 16)
    longest = min(doubled, LONGEST)
    return max(FIRST, longest * (0.5 + chance / 2), least * (1 + chance / 2))


def failures_after(failures: int, lived: float) -> int:
    """The count that goes on after a tunnel that lived for `lived` seconds was lost."""
    return 1 if lived >= STABLE else failures + 1
