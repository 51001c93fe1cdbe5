"""Connections that wait for the link to come back."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Collection
from operator import attrgetter

from trayconnect.forwarding.peer_owner import LocalClient

LIMIT = 512
"""Limit for the number of waiting connections."""

_deadline = attrgetter("deadline")


class PendingConnections:
    """Clients in the order of their arrival, which is also the order of their deadlines.

    Not thread-safe: the owner's lock protects it. The caller closes every client that a method
    returns."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._clients: list[LocalClient] = []

    def __len__(self) -> int:
        return len(self._clients)

    def add(self, client: LocalClient) -> list[LocalClient]:
        """Hold the client. Returns the clients that were dropped for it: those that hung up, when
        there is no room, and, if that was not enough, `client` itself."""
        dropped = self._take(LocalClient.has_hung_up) if len(self) >= self._limit else []
        if len(self) >= self._limit:
            return [*dropped, client]
        bisect.insort(self._clients, client, key=_deadline)
        return dropped

    def release(self, forwards: Collection[int]) -> list[LocalClient]:
        """Drop and return the clients of these forwards."""
        return self._take(lambda client: client.forward in forwards)

    def clear(self) -> list[LocalClient]:
        """Drop and return all clients."""
        return self._take(lambda _: True)

    def expire(self, now: float) -> list[LocalClient]:
        """Drop and return the clients whose deadline has passed."""
        return self._take(lambda client: client.deadline <= now)

    def next_deadline(self) -> float | None:
        return self._clients[0].deadline if self._clients else None

    def _take(self, matches: Callable[[LocalClient], bool]) -> list[LocalClient]:
        taken: list[LocalClient] = []
        kept: list[LocalClient] = []
        for client in self._clients:
            (taken if matches(client) else kept).append(client)
        self._clients = kept
        return taken
