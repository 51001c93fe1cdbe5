"""On which addresses a remote process listens, as `find.sh` reports it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

_IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Listens:
    """The TCP addresses that a process listens on; `known` is false where nothing tells."""

    known: bool
    addresses: tuple[tuple[_IPAddress, int], ...] = ()

    @classmethod
    def read(cls, words: list[str], *, little_endian: bool) -> Listens:
        """From what `find.sh` says: where it was learnt, and the addresses in that tongue."""
        match words:
            case ["proc", *rest]:
                pairs = [_proc_address(word, little_endian) for word in rest]
            case ["lsof", *rest]:
                pairs = [_lsof_address(word) for word in rest]
            case _:
                return cls(known=False)
        return cls(known=True, addresses=tuple(pair for pair in pairs if pair is not None))

    def host(self, port: int) -> str | None:
        """Where to reach that port: loopback if it listens there; None if it does not listen."""
        found = [address for address, number in self.addresses if number == port]
        if not found:
            return None
        best = min(found, key=lambda a: (not (a.is_loopback or a.is_unspecified), a.version))
        if best.is_unspecified:
            return "127.0.0.1" if best.version == 4 else "::1"
        return str(best)


def _proc_address(word: str, little_endian: bool) -> tuple[_IPAddress, int] | None:
    """A `local_address` of /proc/net/tcp: proc(5) has it as 32-bit numbers in host byte order."""
    try:
        address, port = (bytes.fromhex(part) for part in word.split(":"))
        if little_endian:
            address = b"".join(address[i : i + 4][::-1] for i in range(0, len(address), 4))
        return _plain(ipaddress.ip_address(address)), int.from_bytes(port)
    except ValueError:
        return None


def _lsof_address(word: str) -> tuple[_IPAddress, int] | None:
    """A name as `lsof -n -P -F n` prints it: `127.0.0.1:80`, `[::1]:80`, `*:80`."""
    address, _, port = word.rpartition(":")
    text = "0.0.0.0" if address == "*" else address.strip("[]")
    try:
        return _plain(ipaddress.ip_address(text)), int(port)
    except ValueError:
        return None


def _plain(address: _IPAddress) -> _IPAddress:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
