"""The connections that are being served, each on its own threads, while there is a tunnel."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from trayconnect.errors import Problem, ProblemError
from trayconnect.forward.client import Client
from trayconnect.forward.pump import Pump
from trayconnect.forward.workers import Workers
from trayconnect.ports import OpenChannel

_log = logging.getLogger(__name__)

Target = tuple[str, int]
"""Host and port, as seen from the server."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What went through a session's forwards since they were bound."""

    open: int
    """Connections now."""
    held: int
    """Connections that wait for the tunnel."""
    sent: int
    """Bytes to the server."""
    received: int
    """Bytes from the server."""


@dataclass(frozen=True, slots=True, eq=False)
class _Tunnel:
    """One tunnel's time; compared by identity, so that its late threads notice that it is over."""

    open_channel: OpenChannel


class Serving:
    """Starts, counts and aborts. `end` and `begin` may follow each other any time.

    `give_back` gets a client whose tunnel ended before its channel was open: nothing was read
    from it, so that it can be served by the next one. `on_refused` gets the reason when the
    tunnel is there and a channel cannot be opened. Both are called on the client's own thread.
    """

    def __init__(
        self,
        name: str,
        give_back: Callable[[Client], None],
        on_refused: Callable[[Problem], None] | None,
    ) -> None:
        self._name = name
        self._give_back = give_back
        self._on_refused = on_refused
        self._lock = threading.Lock()
        self._tunnel: _Tunnel | None = None
        self._pumps: set[Pump] = set()
        self._workers = Workers(name)
        self._sent = self._received = 0

    @property
    def has_tunnel(self) -> bool:
        return self._tunnel is not None

    def begin(self, open_channel: OpenChannel) -> None:
        """Serve through this tunnel from now on."""
        self.end()
        with self._lock:
            self._tunnel = _Tunnel(open_channel)

    def end(self) -> None:
        """Abort every connection; does not wait for their threads."""
        with self._lock:
            self._tunnel = None
            pumps = tuple(self._pumps)
        for pump in pumps:
            pump.abort()

    def serve(self, client: Client, target: Target) -> bool:
        """Start to serve the client, whose socket is ours now. False: there is no tunnel, and it
        is still the caller's."""
        with self._lock:
            tunnel = self._tunnel
        if tunnel is None:
            return False
        try:
            self._workers.start(lambda: self._run(client, target, tunnel))
        except RuntimeError as error:
            _log.warning("%s: dropped a connection: %s", self._name, error)
            client.reset()
        return True

    def close(self, limit: float) -> bool:
        """`end`, and wait for the threads, at most `limit` seconds; whether all have ended."""
        self.end()
        return self._workers.close(limit)

    def traffic(self, held: int) -> Traffic:
        """The counters; `held` is the caller's own."""
        with self._lock:
            return Traffic(
                open=len(self._pumps),
                held=held,
                sent=self._sent + sum(pump.sent for pump in self._pumps),
                received=self._received + sum(pump.received for pump in self._pumps),
            )

    def _run(self, client: Client, target: Target, tunnel: _Tunnel) -> None:
        try:
            stream = tunnel.open_channel(*target, client.origin)
        except ProblemError as error:
            self._refuse(client, tunnel, error.problem)
            return
        except BaseException:
            client.reset()
            raise
        pump = Pump(client.socket, stream, self._workers.start)
        with self._lock:
            is_current = tunnel is self._tunnel
            if is_current:
                self._pumps.add(pump)
        if not is_current:
            stream.close()
            self._give_back(client)
            return
        try:
            pump.run()
        finally:
            with self._lock:
                self._pumps.discard(pump)
                self._sent += pump.sent
                self._received += pump.received

    def _refuse(self, client: Client, tunnel: _Tunnel, problem: Problem) -> None:
        if tunnel is not self._tunnel:
            self._give_back(client)
            return
        _log.info("%s: %s", self._name, problem.title)
        client.reset()
        if self._on_refused is not None:
            self._on_refused(problem)
