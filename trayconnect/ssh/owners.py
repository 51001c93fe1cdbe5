"""Judges whose a listener is, and whose a connection to it, from what `owners.sh` tells. Pure.

A check of the listener alone, made after a connection is open, leaves one gap: who accepts, closes
the listener at once, and leaves the port to the user's own, keeps the connection. So the table of
the kernel is asked for the connection as well: none of ours may be in the hands of a stranger.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trayconnect.core.link import Owner
from trayconnect.core.proc_net import IPAddress, named_address, proc_address

FIRST_PERSON = 1000
"""The lowest number of a person's account, where the host says nothing else (UID_MIN)."""
_LOWEST_FIRST = 500
"""What UID_MIN was on older systems, where those live whose own number is below 1000."""

_LISTEN = 0x0A
_WORST = (Owner.OURS, Owner.SYSTEM, Owner.UNKNOWN, Owner.NOBODY, Owner.OTHERS)

Address = tuple[IPAddress, int]


@dataclass(frozen=True, slots=True)
class Account:
    """The account that is logged in, and what its host tells."""

    uid: int
    own_group: int | None
    """The group that is this user's alone."""
    first_person: int
    source: str
    """What tells: "proc", "with_sockstat", "with_lsof"; "-" for nothing."""
    little_endian: bool

    @classmethod
    def read(cls, words: Sequence[str]) -> Account | None:
        """From the first line of the script; None if it is none."""
        try:
            uid, group, first, source, order = words
            number = int(uid)
            low = int(first) if first.isdigit() else FIRST_PERSON
            return cls(
                number,
                int(group) if group.isdigit() else None,
                _first_person(number, low),
                source,
                order != "256",
            )
        except ValueError:
            return None

    def of(self, uid: int) -> Owner:
        """Whose that is which belongs to user `uid`."""
        if uid == self.uid:
            return Owner.OURS
        return Owner.OTHERS if uid >= self.first_person else Owner.SYSTEM


def _first_person(uid: int, said: int) -> int:
    highest = _LOWEST_FIRST if _LOWEST_FIRST <= uid < FIRST_PERSON else FIRST_PERSON
    return max(1, min(said, highest))


@dataclass(frozen=True, slots=True)
class Socket:
    """One TCP socket of the host."""

    local: Address
    remote: Address
    listens: bool
    uid: int
    inode: int
    """0: no process has it, as before it is accepted."""


def worst(owners: Iterable[Owner]) -> Owner:
    """The one that allows least; `NOBODY` for none."""
    return max(owners, key=_WORST.index, default=Owner.NOBODY)


# --- TCP ------------------------------------------------------------------------------------------


def sockets(lines: Iterable[str], account: Account) -> tuple[Socket, ...] | None:
    """What the script says of one port; None if a line of it cannot be read."""
    try:
        return tuple(_socket(line.split(), account) for line in lines)
    except ValueError:
        return None


def _socket(words: list[str], account: Account) -> Socket:
    match words:
        case ["socket", local, remote, state, uid, inode]:
            return Socket(
                proc_address(local, little_endian=account.little_endian),
                proc_address(remote, little_endian=account.little_endian),
                int(state, 16) == _LISTEN,
                int(uid),
                int(inode),
            )
        case ["listener", uid, local]:
            address = named_address(local)
            return Socket(address, (_any(address[0]), 0), listens=True, uid=int(uid), inode=1)
    raise ValueError(f"no socket: {words}")


def listener(table: Iterable[Socket], account: Account, place: Address) -> Owner:
    """Whose the listener is that gets the connections to an address of the host: the most specific
    one; all that are equally specific count."""
    address, port = place
    listening = [one for one in table if one.listens and one.local[1] == port]
    levels = [address, _any(address)]
    if address.version == 4:
        levels.append(ipaddress.IPv6Address(0))  # also takes IPv4, unless it is told not to
    if account.source == "with_lsof":
        # It shows nobody else's; the BSDs let nobody bind what overlaps with another user's.
        ours = any(one.local[0] in levels and one.uid == account.uid for one in listening)
        return Owner.OURS if ours else Owner.UNKNOWN
    for level in levels:
        owners = [account.of(one.uid) for one in listening if one.local[0] == level]
        if owners:
            return worst(owners)
    return Owner.NOBODY


def connection(table: Sequence[Socket], account: Account, place: Address) -> Owner:
    """Whose the far end is of a connection of ours that was open, to an address of the host, before
    the table was read."""
    owner = listener(table, account, place)
    if account.source != "proc":
        return owner if place[0].is_loopback else Owner.UNKNOWN
    held, is_seen, is_made = _held(table, account, place)
    # What is not seen is not of this network: the address is another host's, or commands run
    # beside another network than the forwards, as in a container.
    if not is_seen and (owner is Owner.OURS or not place[0].is_loopback):
        return Owner.UNKNOWN
    if not is_made and owner is Owner.NOBODY:
        return Owner.UNKNOWN
    return worst([owner, *held])


def connection_to_name(table: Sequence[Socket], account: Account, port: int) -> Owner:
    """The same where the address is not known: of a name, that may be another host's, too. Never
    OURS."""
    places = {one.local for one in table if not one.listens and one.local[1] == port}
    found: list[Owner] = []
    for place in places:
        held, is_seen, _ = _held(table, account, place)
        found += held
        # Who is not accepted yet is in the listener's hands.
        if is_seen and (owner := listener(table, account, place)) is not Owner.NOBODY:
            found.append(owner)
    return worst([Owner.UNKNOWN, *found])


def _held(
    table: Sequence[Socket], account: Account, place: Address
) -> tuple[list[Owner], bool, bool]:
    """Whose the far ends are of the connections to `place` that the SSH server may have made;
    whether there is such a far end, and such a connection.

    The SSH server connects as the account or, where it never gives up its rights, as root."""
    made = {
        one.local
        for one in table
        if one.remote == place and one.inode and account.of(one.uid) is not Owner.OTHERS
    }
    far = [one for one in table if one.local == place and one.remote in made]
    # One that is not accepted yet has the listener's user or, on older kernels, none.
    owners = [account.of(one.uid) for one in far if one.inode or one.uid]
    return owners, bool(far), bool(made)


def _any(address: IPAddress) -> IPAddress:
    return ipaddress.IPv4Address(0) if address.version == 4 else ipaddress.IPv6Address(0)


# --- UNIX sockets ---------------------------------------------------------------------------------


_LONGEST_PATH = 103
"""Bytes: the least `sun_path` of the systems served, less its NUL."""


@dataclass(frozen=True, slots=True)
class Path:
    """A socket in the file system: the same `inode` before and after a connection is made tells
    that it was this one, where nobody else can take its place."""

    owner: Owner
    inode: int = 0
    place: str = ""
    """Where it really is, for one of OURS: a link on the way to it could be turned elsewhere while
    the connection is made."""
    is_open: bool = False
    """Whether anybody can put another in its place, if only for a moment."""


def path(lines: Sequence[str], account: Account) -> Path:
    """Whose the socket is of which the script tells, and all folders on the way to it."""
    if not lines:
        return Path(Owner.NOBODY)
    try:
        at, *rest = lines
        *folders, last = [_place(line.split()) for line in rest]
    except ValueError:
        return Path(Owner.UNKNOWN)
    inode, mode, uid, _ = last
    is_open = _is_open([folder[1] for folder in folders])
    owner = account.of(uid)
    if not mode.startswith("s"):
        owner = Owner.UNKNOWN
    if owner is not Owner.OURS:
        return Path(owner, inode, is_open=is_open)
    place = at.removeprefix("at ")
    can_be_named = (
        place.isprintable()
        and "\N{REPLACEMENT CHARACTER}" not in place
        and len(place.encode()) <= _LONGEST_PATH
    )
    if can_be_named and all(_is_safe(folder, account) for folder in folders):
        return Path(owner, inode, place)
    return Path(Owner.UNKNOWN, inode, is_open=is_open)


_Place = tuple[int, str, int, int]


def _place(words: list[str]) -> _Place:
    match words:
        case ["place", inode, mode, uid, group] if len(mode) >= 10:
            return int(inode), mode, int(uid), int(group)
    raise ValueError(f"no place: {words}")


def _is_open(modes: Iterable[str]) -> bool:
    """Whether anybody can get to one of these folders, each in the one before, and rename what is
    another's there."""
    for mode in modes:
        if mode[8] == "w" and mode[9] == "x":
            return True
        if mode[9] not in "xt":
            return False
    return False


def _is_safe(folder: _Place, account: Account) -> bool:
    """Whether nobody else can put another in the place of what this user has in it."""
    _, mode, uid, group = folder
    if uid not in (0, account.uid):
        return False
    if mode[9] in "tT":
        return True
    return mode[8] != "w" and (mode[5] != "w" or group in (0, account.own_group))
