"""Session channels that are requested before their commands, so that these start a round trip
earlier."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress

from trayconnect.core.abandonable import Background
from trayconnect.core.cancellation import CancelToken
from trayconnect.ssh.transport.channels import SshChannel
from trayconnect.ssh.transport.multiplexer import ChannelRefusedError
from trayconnect.ssh.transport.ssh_transport import SshTransport

_OPEN_SECONDS = 10.0
_NEVER = CancelToken()


class SessionsAhead:
    """Up to `count` session channels of a transport, each for one command. From any thread.

    A server may refuse some: those that it limits (MaxSessions)."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._requested: deque[Background[SshChannel]] | None = None
        self.has_refused = False
        """Whether the server refused one."""

    @property
    def are_requested(self) -> bool:
        return bool(self._requested)

    def request(self, transport: SshTransport) -> None:
        """Request them, unless that was done before; never waits."""
        with self._lock:
            if self._requested is not None:
                return
            self._requested = deque()
            for _ in range(self._count):
                with suppress(RuntimeError):  # no more threads
                    self._requested.append(
                        Background(
                            lambda: transport.open("session", _OPEN_SECONDS),
                            f"tc-ahead {transport.name}",
                        )
                    )

    def drop(self) -> None:
        """The server refused the login that the requests followed, and has ignored them."""
        with self._lock:
            if self._requested is not None:
                self._requested = None

    def take(self, timeout: float, *, last: bool = False) -> SshChannel | None:
        """Wait for one of them; `last`: for the last one, which leaves the first to others. None if
        there is none (left), or the server opened none in time. Raises `ChannelRefusedError` if the
        server refused all that are left."""
        late: list[Background[SshChannel]] = []
        try:
            return self._take(time.monotonic() + timeout, late, last=last)
        finally:
            # The server may open them yet, and only who takes them ends them.
            with self._lock:
                if self._requested is not None:
                    self._requested.extendleft(reversed(late))

    def _take(
        self, deadline: float, late: list[Background[SshChannel]], *, last: bool
    ) -> SshChannel | None:
        """`late` gets those that were waited for in vain."""
        refusal: ChannelRefusedError | None = None
        while True:
            with self._lock:
                if not self._requested:
                    break
                opening = self._requested.pop() if last else self._requested.popleft()
            try:
                channel = opening.result(_NEVER, max(0.0, deadline - time.monotonic()))
            except ChannelRefusedError as error:
                refusal, self.has_refused = error, True
            except TimeoutError:
                late.append(opening)
            except ConnectionError:
                continue
            else:
                if not channel.closed:
                    return channel
        if refusal is not None:
            raise refusal
        return None
