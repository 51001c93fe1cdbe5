"""Channels to listeners that are proven to be the account's own.

The proof comes after the channel is open and before a byte goes either way, and it covers that
connection: another user who takes the port the moment the user's program ends gets nothing."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from trayconnect.core.endpoints import Endpoint, TcpEndpoint, UnixEndpoint, unmapped
from trayconnect.core.errors import Problem, Recovery
from trayconnect.core.link import (
    ByteStream,
    NotOpenedError,
    NotOursError,
    OpenChannel,
    Owner,
    Refusal,
)
from trayconnect.ssh import owners
from trayconnect.ssh.owners import Address
from trayconnect.ssh.ownership import NotAnsweredError, Ownership


@dataclass(frozen=True, slots=True)
class _ChannelPlan:
    """The channel to request, and the targets that it may have."""

    endpoint: TcpEndpoint
    places: tuple[Address, ...] = ()
    """None: a name, which may resolve to another host."""


class OwnChannels:
    """`OpenOwnChannel` of one link; from any thread."""

    def __init__(self, open_channel: OpenChannel, ownership: Ownership) -> None:
        self._open_channel = open_channel
        self._ownership = ownership
        self._own_addresses: dict[int, Address] = {}
        """By port, the address of localhost that was the account's own last, so that one check is
        enough the next time."""

    def open(
        self, target: Endpoint, origin: tuple[str, int], *, named: bool
    ) -> tuple[ByteStream, Owner]:
        """See `link.OpenOwnChannel`."""
        if isinstance(target, UnixEndpoint):
            stream, owner = self._open_path(target, origin)
        else:
            stream, owner = self._open_port(target, origin)
        if owner is Owner.OURS or (named and owner in (Owner.SYSTEM, Owner.UNKNOWN)):
            return stream, owner
        stream.close()
        raise NotOursError(not_ours(target, owner), owner)

    def owner(self, target: Endpoint) -> Owner:
        """See `link.Link.owner`."""
        try:
            if isinstance(target, UnixEndpoint):
                path = self._ownership.path(target.path)
                return Owner.UNKNOWN if path is None else path.owner
            places = _places(target)
            table_rows = self._ownership.table(target.port) if places else None
        except NotAnsweredError:
            return Owner.UNKNOWN
        if table_rows is None:
            return Owner.UNKNOWN
        account, table = table_rows
        if not places[0][0].is_loopback:
            # Another user's host may have that address.
            exact = [one for one in table if one.listens and one.local == places[0]]
            return owners.listener(exact, account, places[0]) if exact else Owner.UNKNOWN
        found = [owners.listener(table, account, place) for place in places]
        return _most_trusted(found)

    # --- TCP --------------------------------------------------------------------------------------

    def _open_port(self, target: TcpEndpoint, origin: tuple[str, int]) -> tuple[ByteStream, Owner]:
        if target.host.lower() != "localhost":
            plan = _ChannelPlan(target, _places(target))
            return self._open_planned(plan, origin, target)
        last = self._own_addresses.get(target.port)
        if last is not None:
            try:
                stream, owner = self._open_planned(_plan_for(last), origin, target)
            except NotOpenedError:
                pass  # it no longer listens, or listens on the other address
            else:
                if owner is Owner.OURS:
                    return stream, owner
                stream.close()
            self._own_addresses.pop(target.port, None)
        place = self._choose(target)
        if place is not None:
            try:
                stream, owner = self._open_planned(_plan_for(place), origin, target)
            except NotOpenedError as error:
                if error.refusal is not Refusal.FORBIDDEN:
                    raise
                # PermitOpen compares the host's text.
            else:
                if owner is Owner.OURS:
                    self._own_addresses[target.port] = place
                return stream, owner
        return self._open_planned(_ChannelPlan(target, _places(target)), origin, target)

    def _choose(self, target: TcpEndpoint) -> Address | None:
        """The address of localhost with the best listener; None if none is known."""
        table_rows = self._table(target)
        if table_rows is None:
            return None
        account, table = table_rows
        places = _places(target)
        found = {place: owners.listener(table, account, place) for place in places}
        there = [place for place in places if found[place] is not Owner.NOBODY]
        return min(there, key=lambda place: _RANK[found[place]], default=None)

    def _open_planned(
        self, plan: _ChannelPlan, origin: tuple[str, int], target: TcpEndpoint
    ) -> tuple[ByteStream, Owner]:
        stream = self._open_channel(plan.endpoint, origin)
        try:
            return stream, self._owner_of_connection(plan, target)
        except BaseException:
            stream.close()
            raise

    def _owner_of_connection(self, plan: _ChannelPlan, target: TcpEndpoint) -> Owner:
        """The owner of the far end of a channel that is open."""
        table_rows = self._table(target)
        if table_rows is None:
            return Owner.UNKNOWN
        account, table = table_rows
        if not plan.places:
            return owners.connection_to_name(table, account, target.port)
        found = [owners.connection(table, account, place) for place in plan.places]
        # The server may have chosen any of the listeners, so all must be acceptable.
        owner = owners.worst(owner for owner in found if owner is not Owner.NOBODY)
        half_made = owners.half_made(table, account, plan.places)
        if owner is Owner.OURS and half_made:
            again = self._table(target)
            if again is None or half_made & owners.half_made(again[1], again[0], plan.places):
                raise NotOursError(not_accepted(target), Owner.UNKNOWN)
        return owner

    def _table(
        self, target: TcpEndpoint
    ) -> tuple[owners.Account, tuple[owners.Socket, ...]] | None:
        try:
            return self._ownership.table(target.port)
        except NotAnsweredError as error:
            raise NotOursError(not_reported(target, str(error)), Owner.UNKNOWN) from error

    # --- UNIX sockets -----------------------------------------------------------------------------

    def _open_path(self, target: UnixEndpoint, origin: tuple[str, int]) -> tuple[ByteStream, Owner]:
        try:
            before = self._ownership.path(target.path)
            if before is not None and before.owner is Owner.OTHERS:
                raise NotOursError(not_ours(target, before.owner), before.owner)
            if before is not None and before.is_open:
                raise NotOursError(replaceable(target), before.owner)
            is_ours = before is not None and before.owner is Owner.OURS
            really = UnixEndpoint(before.place) if before is not None and is_ours else target
            stream = self._open_channel(really, origin)
            try:
                after = self._ownership.path(target.path)
            except BaseException:
                stream.close()
                raise
        except NotAnsweredError as error:
            raise NotOursError(not_reported(target, str(error)), Owner.UNKNOWN) from error
        if before is None or after is None:
            return stream, Owner.UNKNOWN
        return stream, after.owner if before == after else Owner.NOBODY


_RANK = {
    owner: rank
    for rank, owner in enumerate(
        (Owner.OURS, Owner.SYSTEM, Owner.UNKNOWN, Owner.OTHERS, Owner.NOBODY)
    )
}


def _most_trusted(found: list[Owner]) -> Owner:
    return min(found, key=_RANK.__getitem__)


def _places(target: TcpEndpoint) -> tuple[Address, ...]:
    """The addresses of the server itself that the target may mean; none for another name."""
    host = target.host.lower()
    try:
        addresses = [ipaddress.ip_address(name) for name in _NAMES.get(host, (host,))]
    except ValueError:
        return ()
    return tuple((unmapped(address), target.port) for address in addresses)


_NAMES = {
    "localhost": ("127.0.0.1", "::1"),
    # The address of a connection to the host itself.
    "0.0.0.0": ("127.0.0.1",),
    "::": ("::1",),
}


def _plan_for(place: Address) -> _ChannelPlan:
    return _ChannelPlan(TcpEndpoint(str(place[0]), place[1]), (place,))


# --- problems shown to a refused client ---------------------------------------------------------


def not_ours(target: Endpoint, owner: Owner) -> Problem:
    """Why a connection to a listener of that owner was refused."""
    where = _where(target)
    if owner is Owner.OTHERS:
        return Problem(
            f"What listens on {where} at the server belongs to another user",
            "Nothing is sent there. Start your own; trayconnect will notice. If you do want "
            f"theirs, add a plain forward to the file: -L {_example(target)}",
            Recovery.RETRY,
        )
    if owner is Owner.NOBODY:
        return Problem(
            f"What listened on {where} at the server has just ended",
            "Start it again; trayconnect will notice.",
            Recovery.RETRY,
        )
    return Problem(
        f"What listens on {where} at the server is not proven to be yours",
        "Nothing is sent there. Start your own; trayconnect will notice. If it is the right one, "
        "write its port in the file, then disconnect and connect again.",
        Recovery.RETRY,
        f"owner: {owner.value}",
    )


def replaceable(target: UnixEndpoint) -> Problem:
    """Why a connection to a socket in a world-writable folder was refused."""
    return Problem(
        f"Any user of the server can replace the socket {target.path}",
        "Nothing is sent there. Close its folder to others on the server, and each above it: "
        "chmod o-w FOLDER",
        Recovery.RETRY,
    )


def not_reported(target: Endpoint, detail: str) -> Problem:
    return Problem(
        f"The server did not report who owns {_where(target)}",
        "Nothing is sent there until it does. Try again in a moment.",
        Recovery.RETRY,
        detail,
    )


def not_accepted(target: Endpoint) -> Problem:
    """Why a connection that lacks its far end was refused."""
    return Problem(
        f"What listens on {_where(target)} at the server did not take the connection",
        "It is busy, or has just ended. Nothing is sent there. Try again in a moment.",
        Recovery.RETRY,
    )


def _where(target: Endpoint) -> str:
    if isinstance(target, TcpEndpoint) and target.host in ("127.0.0.1", "::1"):
        return f"localhost:{target.port}"
    return str(target)


def _example(target: Endpoint) -> str:
    return f"9999:{target}" if isinstance(target, TcpEndpoint) else f"9999:{target.path}"
