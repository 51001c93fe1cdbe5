"""On which addresses a remote process listens, as `find.sh` reports it."""

from __future__ import annotations

from dataclasses import dataclass

from trayconnect.core.endpoints import IPAddress, named_address, proc_address


@dataclass(frozen=True, slots=True)
class ListeningSockets:
    """The TCP addresses that a process listens on; `known` is false where nothing tells."""

    known: bool
    addresses: tuple[tuple[IPAddress, int], ...] = ()

    @classmethod
    def read(cls, words: list[str], *, little_endian: bool) -> ListeningSockets:
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


def _proc_address(word: str, little_endian: bool) -> tuple[IPAddress, int] | None:
    try:
        return proc_address(word, little_endian=little_endian)
    except ValueError:
        return None


def _lsof_address(word: str) -> tuple[IPAddress, int] | None:
    try:
        return named_address(word)
    except ValueError:
        return None
