"""How much a server may send on one channel (RFC 4254 section 5.2). Pure.

A download moves at most one window a round trip: 2 MiB over 40 ms are 50 MB/s, whatever the line
can do. So the window grows while it is what limits, as in TCP's receive buffers (Semke, Mahdavi,
Mathis: Automatic TCP Buffer Tuning, 1998), and shrinks when the rate has fallen."""

from __future__ import annotations

from dataclasses import dataclass

SMALLEST = 512 << 10
"""Enough for loopback and a local network; more only buffers more."""
LARGEST = 32 << 20
BUDGET = 64 << 20
"""Bytes that all windows of a connection may have beyond their smallest size."""
SLACK = 10 * (32 << 10)
"""Bytes beyond the window that are tolerated, as by OpenSSH: some servers count slightly wrong."""
_FOURFOLD = 8 << 20
"""Windows below this size grow to four times that at once: each step costs a round trip."""
NEAR = 0.001
"""Seconds: a round trip up to this is never what limits."""


class WindowExceededError(Exception):
    """The server sent more than it was allowed to."""


@dataclass(slots=True)
class WindowBudget:
    """Shared by the windows of one connection."""

    left: int = BUDGET
    round_trip: float = 0.0
    """Seconds, the shortest one measured; 0: not known."""

    def measured(self, seconds: float) -> None:
        """A round trip took so long."""
        if not self.round_trip or seconds < self.round_trip:
            self.round_trip = seconds


class ReceiveWindow:
    """`received` counts what arrives, `consumed` what the local side took."""

    __slots__ = (
        "_budget",
        "_epoch_bytes",
        "_epoch_start",
        "_granted",
        "_unread",
        "_unreported",
        "size",
    )

    def __init__(self, budget: WindowBudget) -> None:
        self._budget = budget
        self.size = SMALLEST
        self._granted = SMALLEST
        """What the server may still send."""
        self._unread = 0
        """Received, and not consumed yet."""
        self._unreported = 0
        """Consumed, and not granted again yet."""
        self._epoch_start = 0.0
        self._epoch_bytes = 0

    def received(self, size: int) -> None:
        """Raises `WindowExceededError`."""
        self._granted -= size
        self._unread += size
        if self._granted < -SLACK:
            raise WindowExceededError

    def consumed(self, size: int) -> bool:
        """Whether it is time to call `grant`."""
        self._unread -= size
        self._unreported += size
        return self._unreported >= self.size >> 2

    def grant(self, now: float) -> int:
        """How much more the server may send: the number of a SSH_MSG_CHANNEL_WINDOW_ADJUST. 0: none
        is to be sent."""
        self._epoch_bytes += self._unreported
        self._unreported = 0
        self._adapt(now)
        # Nothing, as long as more of a larger window is still granted.
        credit = max(0, self.size - self._granted - self._unread)
        self._granted += credit
        return credit

    def close(self) -> None:
        """Give its share of the budget back."""
        self._resize(SMALLEST)

    def _adapt(self, now: float) -> None:
        if not self._epoch_start:
            # What came before the first look counts, too, as if it had taken a round trip.
            self._epoch_start = now - self._budget.round_trip
        if self._epoch_bytes < self.size:
            return
        round_trip = self._budget.round_trip
        elapsed = now - self._epoch_start
        if round_trip > NEAR and elapsed <= 2 * round_trip:
            wanted = self.size * (4 if self.size < _FOURFOLD else 2)
            self._resize(min(wanted, LARGEST, self.size + self._budget.left))
        elif elapsed > 8 * round_trip:
            self._resize(max(self.size // 2, SMALLEST))
        self._begin(now)

    def _resize(self, size: int) -> None:
        self._budget.left += self.size - size
        self.size = size

    def _begin(self, now: float) -> None:
        self._epoch_start = now
        self._epoch_bytes = 0
