"""Determines the owner of a listener, and of a connection to it, from the output of `owners.sh`.
Pure.

A check of the listener alone, made after a connection is open, leaves one gap: a program that
accepts, closes the listener at once, and leaves the port to the user's own program, keeps the
connection. So the kernel's table is also searched for the connection: none of ours may belong to
another user.

Nor may one lack its far end. Where the kernel answers with SYN cookies, it forgets a connection
that a full queue does not take; the SSH server's end is open, and its first bytes make the
connection to whoever listens by then."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from trayconnect.core.endpoints import IPAddress, named_address, proc_address, unmapped
from trayconnect.core.link import Owner

FIRST_PERSON = 1000
"""The lowest UID of a person's account, unless the host sets another one (UID_MIN)."""
_LOWEST_FIRST = 500
"""UID_MIN of older systems, if the account's own UID is below 1000."""

_ESTABLISHED, _SYN_SENT, _LISTEN = 0x01, 0x02, 0x0A
_WORST = (Owner.OURS, Owner.SYSTEM, Owner.UNKNOWN, Owner.NOBODY, Owner.OTHERS)

Address = tuple[IPAddress, int]


@dataclass(frozen=True, slots=True)
class Account:
    """The account that is logged in, and what its host reports."""

    uid: int
    own_group: int | None
    """The group that has only this user as a member."""
    first_person: int
    source: str
    """The source of the tables: "proc", "with_sockstat", "with_lsof"; "-" for none."""
    little_endian: bool
    is_elsewhere: bool = False
    """Whether commands are not known to run in the network of OpenSSH's server: in a container, for
    example, the tables say nothing about where its forwards lead. Other servers may have
    connections that no table lists (Tailscale's)."""

    @classmethod
    def read(cls, fields: Sequence[str]) -> Account | None:
        """Parse the script's first line; None if it is malformed."""
        try:
            uid, group, first, source, order, *network = fields
            number = int(uid)
            low = int(first) if first.isdigit() else FIRST_PERSON
            account = cls(
                number,
                int(group) if group.isdigit() else None,
                _first_person(number, low),
                source,
                order != "256",
            )
            return replace(account, is_elsewhere=not account._is_here(*network))
        except (TypeError, ValueError):
            return None

    def _is_here(self, connection: str, *rows: str) -> bool:
        """Whether one of the sockets is the connection to the SSH server. Its ports alone may be
        those of another connection. Raises ValueError."""
        if connection == "below":
            return True
        try:
            remote, local = _ends(connection)
        except ValueError:
            return False
        if self.source != "proc":
            return True
        for row in rows:
            *found, uid = row.split(",")
            near, far = (proc_address(end, little_endian=self.little_endian) for end in found)
            if (near, far) == (local, remote) and self.of(int(uid)) is not Owner.OTHERS:
                return True
        return False

    def of(self, uid: int) -> Owner:
        """The owner that the UID `uid` stands for."""
        if uid == self.uid:
            return Owner.OURS
        return Owner.OTHERS if uid >= self.first_person else Owner.SYSTEM


def _ends(connection: str) -> tuple[Address, Address]:
    """The client's and the server's end in OpenSSH's SSH_CONNECTION. Raises ValueError."""
    host, port, own_host, own_port = connection.split(",")
    return _end(host, port), _end(own_host, own_port)


def _end(host: str, port: str) -> Address:
    address = ipaddress.ip_address(host.partition("%")[0])
    return unmapped(address), int(port)


def _first_person(uid: int, uid_min: int) -> int:
    highest = _LOWEST_FIRST if _LOWEST_FIRST <= uid < FIRST_PERSON else FIRST_PERSON
    return max(1, min(uid_min, highest))


@dataclass(frozen=True, slots=True)
class Socket:
    """One TCP socket of the host."""

    local: Address
    remote: Address
    listens: bool
    uid: int
    inode: int
    """0: no process has it, for example before it is accepted."""
    is_connecting: bool = False
    """Whether the other side has not answered yet."""
    is_established: bool = False


def worst(owners: Iterable[Owner]) -> Owner:
    """The least trusted owner; `NOBODY` for none."""
    return max(owners, key=_WORST.index, default=Owner.NOBODY)


# --- TCP ------------------------------------------------------------------------------------------


def sockets(lines: Iterable[str], account: Account) -> tuple[Socket, ...] | None:
    """The script's sockets of one port; None if a line is malformed."""
    try:
        return tuple(_socket(line.split(), account) for line in lines)
    except ValueError:
        return None


def _socket(fields: list[str], account: Account) -> Socket:
    match fields:
        case ["socket", local, remote, state, uid, inode]:
            number = int(state, 16)
            return Socket(
                proc_address(local, little_endian=account.little_endian),
                proc_address(remote, little_endian=account.little_endian),
                number == _LISTEN,
                int(uid),
                int(inode),
                is_connecting=number == _SYN_SENT,
                is_established=number == _ESTABLISHED,
            )
        case ["listener", uid, local]:
            address = named_address(local)
            return Socket(address, (_any(address[0]), 0), listens=True, uid=int(uid), inode=1)
    raise ValueError(f"no socket: {fields}")


def listener(table: Iterable[Socket], account: Account, place: Address) -> Owner:
    """The owner of the listener that gets the connections to an address of the host: the most
    specific one; all equally specific ones count."""
    address, port = place
    listening = [one for one in table if one.listens and one.local[1] == port]
    levels = [address, _any(address)]
    if address.version == 4:
        levels.append(ipaddress.IPv6Address(0))  # also accepts IPv4, unless it is configured not to
    if account.source == "with_lsof":
        # The source does not list other users' sockets; the BSDs let nobody bind an address that
        # overlaps with another user's.
        ours = any(one.local[0] in levels and one.uid == account.uid for one in listening)
        return Owner.OURS if ours else Owner.UNKNOWN
    for level in levels:
        owners = [account.of(one.uid) for one in listening if one.local[0] == level]
        if owners:
            return worst(owners)
    return Owner.NOBODY


def connection(table: Sequence[Socket], account: Account, place: Address) -> Owner:
    """The owner of the far end of a connection of ours to an address of the host, which was open
    before the table was read."""
    owner = listener(table, account, place)
    if account.source != "proc":
        return owner if place[0].is_loopback else Owner.UNKNOWN
    far_owners, is_seen, is_made = _far_owners(table, account, place)
    # An invisible connection belongs to another network: the address is another host's, or commands
    # run in another network than the forwards, as in a container.
    if not is_seen and (owner is Owner.OURS or not place[0].is_loopback):
        return Owner.UNKNOWN
    if not is_made and owner is Owner.NOBODY:
        return Owner.UNKNOWN
    return worst([owner, *far_owners])


def is_settled(table: Sequence[Socket], account: Account, place: Address) -> bool:
    """Whether a connection to an address of the host, which the SSH server had begun to make when
    the table was read, was made by then or has failed. If not, another table must be read after the
    channel is open."""
    return (
        account.source == "proc"
        and not any(one.is_connecting and one.remote == place for one in table)
        and not half_made(table, account, [place])
    )


def half_made(
    table: Sequence[Socket], account: Account, places: Collection[Address]
) -> frozenset[Address]:
    """The near ends of the connections to `places` that lack their far end. The kernel does not
    list all sockets at one moment, so it may list one end of a connection that ends meanwhile;
    `half_made` of another table does not have it."""
    far = {(one.remote, one.local) for one in table}
    return frozenset(
        one.local
        for one in _made(table, account, places)
        if one.is_established and (one.local, one.remote) not in far
    )


def connection_to_name(table: Sequence[Socket], account: Account, port: int) -> Owner:
    """The same if the address is unknown: for a name, which may be another host's. Never OURS."""
    places = {one.local for one in table if not one.listens and one.local[1] == port}
    found: list[Owner] = []
    for place in places:
        far_owners, is_seen, _ = _far_owners(table, account, place)
        found += far_owners
        # Before `accept`, a connection belongs to the listener.
        if is_seen and (owner := listener(table, account, place)) is not Owner.NOBODY:
            found.append(owner)
    return worst([Owner.UNKNOWN, *found])


def _far_owners(
    table: Sequence[Socket], account: Account, place: Address
) -> tuple[list[Owner], bool, bool]:
    """The owners of the far ends of the connections to `place` that the SSH server may have made;
    whether there is such a far end, and such a connection."""
    made = {one.local for one in _made(table, account, [place])}
    far = [one for one in table if one.local == place and one.remote in made]
    # A connection that is not accepted yet has the listener's user or, on older kernels, none.
    owners = [account.of(one.uid) for one in far if one.inode or one.uid]
    return owners, bool(far), bool(made)


def _made(
    table: Iterable[Socket], account: Account, places: Collection[Address]
) -> Iterator[Socket]:
    """The near ends of those connections: the SSH server connects as the account or, if it keeps
    its rights, as root."""
    for one in table:
        if one.remote in places and one.inode and account.of(one.uid) is not Owner.OTHERS:
            yield one


def _any(address: IPAddress) -> IPAddress:
    return ipaddress.IPv4Address(0) if address.version == 4 else ipaddress.IPv6Address(0)


# --- UNIX sockets ---------------------------------------------------------------------------------


_LONGEST_PATH = 103
"""Bytes: the smallest `sun_path` of the supported systems, less its NUL."""


@dataclass(frozen=True, slots=True)
class Path:
    """A socket in the file system. The same `inode` before and after connecting proves that the
    connection went to this one, provided that nobody else can replace it."""

    owner: Owner
    inode: int = 0
    place: str = ""
    """The real path of one of OURS: a link in the path could be changed while connecting."""
    is_open: bool = False
    """Whether another user can replace it, if only for a moment."""


def path(lines: Sequence[str], account: Account) -> Path:
    """The owner of the socket in the script's output, and of all folders in its path."""
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


def _place(fields: list[str]) -> _Place:
    match fields:
        case ["place", inode, mode, uid, group] if len(mode) >= 10:
            return int(inode), mode, int(uid), int(group)
    raise ValueError(f"no place: {fields}")


def _is_open(modes: Iterable[str]) -> bool:
    """Whether another user can reach one of these folders, each inside the previous one, and rename
    others' files there."""
    for mode in modes:
        if mode[8] == "w" and mode[9] == "x":
            return True
        if mode[9] not in "xt":
            return False
    return False


def _is_safe(folder: _Place, account: Account) -> bool:
    """Whether no other user can replace this user's files in it."""
    _, mode, uid, group = folder
    if uid not in (0, account.uid):
        return False
    if mode[9] in "tT":
        return True
    return mode[8] != "w" and (mode[5] != "w" or group in (0, account.own_group))
