"""Where one client of a forward wants to go, and how it learns what came of that."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Protocol

from trayconnect.core.endpoints import Endpoint
from trayconnect.core.link import Refusal


class ClientRequest(Protocol):
    """Read before the channel is opened; answered once, unless the client hangs up."""

    @property
    def target(self) -> Endpoint:
        """As seen from the server."""
        ...

    @property
    def is_fixed(self) -> bool:
        """Whether the file says where it goes, rather than the client."""
        ...

    def granted(self, client: socket.socket) -> None:
        """The channel is open: bytes follow. Raises OSError."""
        ...

    def denied(self, client: socket.socket, refusal: Refusal) -> bool:
        """There is no channel; whether the client could be told. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """The file says where it goes, and there are no words for an answer."""

    target: Endpoint
    is_fixed = True

    def granted(self, client: socket.socket) -> None:
        pass

    def denied(self, client: socket.socket, refusal: Refusal) -> bool:  # noqa: ARG002
        return False
