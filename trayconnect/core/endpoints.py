"""The two ends of a forward, a TCP port or the path of a UNIX socket; and how systems list them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache


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

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def proc_address(word: str, *, little_endian: bool) -> tuple[IPAddress, int]:
    """The address and port of a `local_address`. proc(5) gives the address as 32-bit numbers in
    host byte order. Raises ValueError."""
    address, port = word.split(":")
    return _proc_host(address, little_endian), int.from_bytes(bytes.fromhex(port))


@lru_cache(256)
def _proc_host(word: str, little_endian: bool) -> IPAddress:
    """Tables of thousands of sockets have few addresses."""
    address = bytes.fromhex(word)
    if little_endian:
        address = b"".join(address[i : i + 4][::-1] for i in range(0, len(address), 4))
    return unmapped(ipaddress.ip_address(address))


def named_address(word: str) -> tuple[IPAddress, int]:
    """The address and port in the form of `lsof -nP` and `sockstat`: `127.0.0.1:80`, `[::1]:80`,
    `*:80`. Raises ValueError."""
    address, _, port = word.rpartition(":")
    text = "0.0.0.0" if address == "*" else address.strip("[]")
    return unmapped(ipaddress.ip_address(text)), int(port)


def unmapped(address: IPAddress) -> IPAddress:
    """The IPv4 address of an IPv4-mapped IPv6 one, such as ::ffff:127.0.0.1."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
