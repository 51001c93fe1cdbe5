"""The two ends of a forward: a TCP port, or the path of a UNIX socket."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TcpEndpoint:
    """A host, by name or address, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        """`host:port`, with an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixEndpoint:
    """The path of a UNIX stream socket. A path on another computer follows that computer's
    rules."""

    path: str

    def __str__(self) -> str:
        return self.path


Endpoint = TcpEndpoint | UnixEndpoint
