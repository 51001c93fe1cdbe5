"""One accepted local connection, before bytes flow."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from dataclasses import dataclass

from trayconnect.forwarding.client_request import ClientRequest
from trayconnect.forwarding.peer_uid import PeerOwner, identify

_LINGER_NONE = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


@dataclass(frozen=True, slots=True, eq=False)
class LocalClient:
    """A connection to the forward number `forward`, held until `deadline`."""

    socket: socket.socket
    """Non-blocking until it is served."""
    origin: tuple[str, int]
    forward: int
    deadline: float
    """On the monotonic clock."""
    uid: int | None
    """The user whose connections are accepted; None where the system identifies no users."""
    request: ClientRequest | None = None
    """The target it asked for, if it was read already."""

    def owner(self) -> PeerOwner:
        """Who connected. Raises OSError, see `identify`."""
        return PeerOwner.UNKNOWN if self.uid is None else identify(self.socket, self.uid)

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
        """Close with a TCP reset, which the client cannot mistake for an empty answer. Never
        raises."""
        set_reset_on_close(self.socket)
        self.socket.close()


def set_reset_on_close(sock: socket.socket) -> None:
    """Make `close` drop unsent data and send a reset (SO_LINGER with 0 seconds). Never raises."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
