"""The connections that wait for the tunnel to come back."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Collection
from operator import attrgetter

from trayconnect.forwarding.peer_owner import LocalClient

LIMIT = 512
"""How many wait at most."""

_deadline = attrgetter("deadline")


class PendingConnections:
    """Clients in the order of their arrival, which is that of their deadlines.

    Not thread-safe: it lives under its owner's lock. Whoever gets a client out of it, closes it.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._clients: list[LocalClient] = []

    def __len__(self) -> int:
        return len(self._clients)

    def add(self, client: LocalClient) -> list[LocalClient]:
        """Hold it; what is returned no longer is: those that hung up, when the place runs out,
        and, if that was not enough, `client` itself."""
        dropped = self._take(LocalClient.has_hung_up) if len(self) >= self._limit else []
        if len(self) >= self._limit:
            return [*dropped, client]
        bisect.insort(self._clients, client, key=_deadline)
        return dropped

    def release(self, forwards: Collection[int]) -> list[LocalClient]:
        """Let go of those that wait for one of these forwards."""
        return self._take(lambda client: client.forward in forwards)

    def clear(self) -> list[LocalClient]:
        """Let go of all."""
        return self._take(lambda _: True)

    def expire(self, now: float) -> list[LocalClient]:
        """Let go of those whose time is over."""
        return self._take(lambda client: client.deadline <= now)

    def next_deadline(self) -> float | None:
        return self._clients[0].deadline if self._clients else None

    def _take(self, wanted: Callable[[LocalClient], bool]) -> list[LocalClient]:
        taken: list[LocalClient] = []
        kept: list[LocalClient] = []
        for client in self._clients:
            (taken if wanted(client) else kept).append(client)
        self._clients = kept
        return taken
