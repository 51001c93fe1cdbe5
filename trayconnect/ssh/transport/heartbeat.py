"""Detects a server that no longer answers, by keepalive requests."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from trayconnect.config.model import Keepalive
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


class Heartbeat:
    """Sends keepalive requests to the server periodically, on a thread of its own.

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
        name: str,
        on_dead: Callable[[float], None],
        before: Sequence[SshTransport] = (),
    ) -> None:
        self._transport = transport
        self._count_max = keepalive.count_max
        self.limit = keepalive.interval * keepalive.count_max
        self._spacing = self.limit / (keepalive.count_max + 1)
        self._on_dead = on_dead
        self._wake = threading.Condition()
        self._stopped = False
        self._check = False
        self._pulse = _Pulse(transport)
        self._before = [_Pulse(one) for one in before]
        self._thread = threading.Thread(target=self._run, name=f"tc-heartbeat {name}", daemon=True)

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
        self._thread.start()

    def check(self) -> None:
        """Send a request now. Without an answer within `CHECK_SECONDS`, or the usual limit, the
        server counts as dead.

        Packets other than the answer count only in the second half of that time. The answer may be
        queued behind a download, but a packet that was in flight before proves nothing (the kernel
        of a frozen server still sends data that waited for our acknowledgement)."""
        with self._wake:
            self._check = True
            self._wake.notify_all()

    def stop(self, timeout: float) -> None:
        """Stop the thread, and join it unless called on it."""
        with self._wake:
            self._stopped = True
            self._wake.notify_all()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _send_requests(self) -> float:
        for pulse in self._before:
            pulse.ask()
        return self._pulse.ask()

    def _run(self) -> None:
        unanswered = 0
        beat_at = checked_at = -_NEVER
        check_by = _NEVER
        while True:
            now = time.monotonic()
            received_at = self._transport.packetizer.last_received
            if self._pulse.answered_at >= checked_at:
                check_by = _NEVER
            if now >= check_by:
                if received_at < (checked_at + check_by) / 2:
                    break
                check_by = _NEVER
            if self._take_check():
                checked_at = self._send_requests()
                check_by = checked_at + min(CHECK_SECONDS, self.limit)
            if now >= beat_at + self._spacing:
                unanswered = 0 if received_at > beat_at else unanswered
                if unanswered >= self._count_max:
                    break
                beat_at = self._send_requests()
                unanswered += 1
            if not self._sleep(min(beat_at + self._spacing, check_by)):
                return
        self._on_dead(time.monotonic() - self._transport.packetizer.last_received)

    def _take_check(self) -> bool:
        with self._wake:
            wanted, self._check = self._check, False
        return wanted

    def _sleep(self, until: float) -> bool:
        """Wait for the time, or a check; false when stopped."""
        with self._wake:
            left = until - time.monotonic()
            if not self._stopped and not self._check and left > 0:
                self._wake.wait(left)
            return not self._stopped
