"""The target that one client of a forward asks for, and the reply that it gets."""

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
        """Whether the file names the target, rather than the client."""
        ...

    def granted(self, client: socket.socket) -> None:
        """Reply that the channel is open; bytes follow. Raises OSError."""
        ...

    def denied(self, client: socket.socket, refusal: Refusal) -> bool:
        """Reply that there is no channel. Returns whether the client could receive it. Never
        raises."""
        ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """The file names the target, and the protocol has no reply."""

    target: Endpoint
    is_fixed = True

    def granted(self, client: socket.socket) -> None:
        pass

    def denied(self, client: socket.socket, refusal: Refusal) -> bool:  # noqa: ARG002
        return False
