"""A client of a local forward: who it is, and its wait for the link."""

from __future__ import annotations

import bisect
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass
from operator import attrgetter

from trayconnect.core.sockets import reset
from trayconnect.forwarding.peer_uid import PeerOwner, Peers
from trayconnect.forwarding.socks import SocksRequest


@dataclass(frozen=True, slots=True, eq=False)
class LocalClient:
    """A connection to the forward number `forward`, held until `deadline`."""

    socket: socket.socket
    """Non-blocking."""
    origin: tuple[str, int]
    forward: int
    deadline: float
    """On the monotonic clock."""
    peers: Peers
    request: SocksRequest | None = None
    """What it asked a dynamic forward for, if that was read already."""

    def owner(self) -> PeerOwner:
        """Who connected. Raises OSError, see `Peers`."""
        return self.peers.identify(self.socket)

    def has_hung_up(self) -> bool:
        """Whether the client has closed the connection.

        A client that only finished sending still waits. Where the system does not distinguish the
        two, one that sent nothing counts as closed."""
        try:
            owner = self.owner()
            if owner is PeerOwner.UNKNOWN:
                return not self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return owner is PeerOwner.GONE

    def reset(self) -> None:
        """See `sockets.reset`."""
        reset(self.socket)


PENDING_LIMIT = 512
"""Limit for the number of waiting connections."""

_deadline = attrgetter("deadline")


class PendingConnections:
    """Clients that wait for the link, in the order of their arrival, which is also that of their
    deadlines.

    Not thread-safe: the owner's lock protects it. The caller closes every client that a method
    returns."""

    def __init__(self, limit: int = PENDING_LIMIT) -> None:
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
