"""Detects a server that no longer answers, by keepalive requests."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from trayconnect.config.model import Keepalive
from trayconnect.core.threads import Timer
from trayconnect.ssh.transport.ssh_transport import SshTransport

REQUEST = "keepalive@openssh.com"
"""Any server answers an unknown global request with a failure, which serves as well (RFC 4254
section 4). paramiko's own keepalive requests no answer, and so detects nothing."""
CHECK_SECONDS = 5.0
"""Seconds that `check` waits for a sign of life."""
_NEVER = float("inf")


class _Pulse:
    """The keepalive requests to one server, and the delay of its answers."""

    def __init__(self, transport: SshTransport) -> None:
        self.transport = transport
        self._asked: deque[float] = deque()
        self.answered_at = -_NEVER
        """When the last answered request was sent."""
        self.latency: float | None = None

    def ask(self) -> float:
        now = time.monotonic()
        self._asked.append(now)
        self.transport.ask(REQUEST, self._answered)
        return now

    def _answered(self, _reply: object) -> None:
        """A failure message is a sign of life, too."""
        if self._asked:
            self.answered_at = self._asked.popleft()
            self.latency = time.monotonic() - self.answered_at
            self.transport.multiplexer.budget.measured(self.latency)


class Heartbeat:
    """Sends keepalive requests to the server periodically.

    Within `interval * count_max` seconds after the server's last packet, `count_max` requests have
    gone unanswered, and `on_dead` is called with that time, once. The requests are spaced evenly,
    and the last has as long for its answer as the others; so the spacing is slightly less than
    `interval`. Any packet is a sign of life. Sending never blocks, whatever the state of the
    transport. The jump hosts `before` it are queried as well, to know which server of the route is
    silent."""

    def __init__(
        self,
        transport: SshTransport,
        keepalive: Keepalive,
        on_dead: Callable[[float], None],
        before: Sequence[SshTransport] = (),
    ) -> None:
        self._transport = transport
        self._count_max = keepalive.count_max
        self.limit = keepalive.interval * keepalive.count_max
        self._spacing = self.limit / (keepalive.count_max + 1)
        self._on_dead = on_dead
        self._check = threading.Event()
        self._pulse = _Pulse(transport)
        self._before = [_Pulse(one) for one in before]
        self._unanswered = 0
        self._beat_at = self._checked_at = -_NEVER
        self._check_by = _NEVER
        self._timer = Timer(self._run)

    @property
    def latency(self) -> float | None:
        """Round-trip time in seconds of the last answer."""
        return self._pulse.latency

    def silent(self) -> SshTransport:
        """After a timeout: the first server of the route that has not answered since."""
        received_at = self._transport.packetizer.last_received
        for pulse in self._before:
            if pulse.answered_at <= received_at:
                return pulse.transport
        return self._transport

    def start(self) -> None:
        """Begin, with a request at once."""
        self._timer.set(0.0)

    def check(self) -> None:
        """Send a request now. Without an answer within `CHECK_SECONDS`, or the usual limit, the
        server counts as dead.

        Packets other than the answer count only in the second half of that time. The answer may be
        queued behind a download, but a packet that was in flight before proves nothing (the kernel
        of a frozen server still sends data that waited for our acknowledgement)."""
        self._check.set()
        self._timer.set(0.0)

    def stop(self, timeout: float) -> None:
        """Send no more requests, and do not call `on_dead` any more."""
        self._timer.stop(timeout)

    def _send_requests(self) -> float:
        for pulse in self._before:
            pulse.ask()
        return self._pulse.ask()

    def _run(self) -> None:
        now = time.monotonic()
        received_at = self._transport.packetizer.last_received
        if self._is_dead(now, received_at):
            self._timer.stop(0)
            self._on_dead(now - received_at)
            return
        if self._check.is_set():
            self._check.clear()
            self._checked_at = self._send_requests()
            self._check_by = self._checked_at + min(CHECK_SECONDS, self.limit)
        if now >= self._beat_at + self._spacing:
            self._beat_at = self._send_requests()
            self._unanswered += 1
        self._timer.set(min(self._beat_at + self._spacing, self._check_by) - time.monotonic())

    def _is_dead(self, now: float, received_at: float) -> bool:
        if self._pulse.answered_at >= self._checked_at:
            self._check_by = _NEVER
        if now >= self._check_by:
            if received_at < (self._checked_at + self._check_by) / 2:
                return True
            self._check_by = _NEVER
        if received_at > self._beat_at:
            self._unanswered = 0
        return now >= self._beat_at + self._spacing and self._unanswered >= self._count_max
