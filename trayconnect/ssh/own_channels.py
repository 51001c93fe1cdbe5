"""Channels to listeners that are proven to be the account's own.

The proof comes after the channel is open and before a byte goes either way, and it covers that
connection: another user who takes the port the moment the user's program ends gets nothing."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from trayconnect.core.endpoints import Endpoint, TcpEndpoint, UnixEndpoint, unmapped
from trayconnect.core.errors import ProblemError
from trayconnect.core.link import (
    ByteStream,
    Client,
    NotOpenedError,
    NotOursError,
    OnRefused,
    OpenChannel,
    Owner,
    Refusal,
)
from trayconnect.core.own_channel_problems import not_accepted, not_ours, not_reported, replaceable
from trayconnect.ssh import owners
from trayconnect.ssh.held_channel import HeldChannel, OpenHeld
from trayconnect.ssh.owners import Address
from trayconnect.ssh.ownership import NotAnsweredError, Ownership, Table, wait
from trayconnect.ssh.spares import Spares
from trayconnect.ssh.steps import Answer, run, run_blocking

_JOIN_SECONDS = 5.0
_NO_ORIGIN = ("127.0.0.1", 0)
"""Of a channel that was opened before its client came."""


class _Closable(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Closable)
"""A channel: a `ByteStream` or a `HeldChannel`."""


@dataclass(frozen=True, slots=True)
class _ChannelPlan:
    """The channel to request, and the targets that it may have."""

    endpoint: TcpEndpoint
    places: tuple[Address, ...] = ()
    """None: a name, which may resolve to another host."""


class _Judged(NamedTuple):
    """Whether a table proves that connections to `place` lead to the account's own listener."""

    table: Table
    place: Address
    is_ours: bool


Opener = Callable[[Endpoint], "Future[C]"]
"""Begins to open a channel; the exception is a `ProblemError`."""


InOrder = Callable[[Callable[[], None]], bool]
"""Calls a job after the requests for channels so far have been sent; false if the link has
ended."""


class OwnChannels:
    """`OpenOwnChannel` and `Carrier.carry_own` of one link; from any thread."""

    def __init__(
        self,
        open_channel: OpenChannel,
        open_held: OpenHeld,
        ownership: Ownership,
        in_order: InOrder | None = None,
    ) -> None:
        """`in_order`: None if the server may begin to connect a channel only after it has read what
        came behind the request for it; OpenSSH begins before."""
        self._in_order = in_order
        self._open_channel = open_channel
        self._open_held = open_held
        self._ownership = ownership
        self._own_addresses: dict[int, Address] = {}
        """By port, the address of localhost that was the account's own last, so that one check is
        enough the next time."""
        self._judged: _Judged | None = None
        """The last table: connections that come together share it."""
        self._spares = Spares(self._open_spare)

    def open(
        self, target: Endpoint, origin: tuple[str, int], *, named: bool
    ) -> tuple[ByteStream, Owner]:
        """See `link.OpenOwnChannel`."""

        def opener(endpoint: Endpoint) -> Future[ByteStream]:
            opened: Future[ByteStream] = Future()
            try:
                opened.set_result(self._open_channel(endpoint, origin))
            except ProblemError as error:
                opened.set_exception(error)
            return opened

        return run_blocking(self._open(opener, target, named), wait)

    def carry(
        self,
        client: Client,
        target: Endpoint,
        *,
        named: bool,
        on_opened: Callable[[Owner], None],
        on_refused: OnRefused,
    ) -> None:
        """See `link.Carrier.carry_own`."""

        def carry_over(spare: HeldChannel) -> None:
            on_opened(Owner.OURS)
            spare.carry(client, on_unused=lambda _: carry_alone())

        def carry_alone() -> None:
            # A server that closes connections at once would take spare after spare; and none may
            # lie before the client's own.
            self._spares.forget(target)
            carry_fresh(may_wait=False)

        def carry_fresh(*, may_wait: bool = True) -> None:
            def opened(proven: tuple[HeldChannel, Owner]) -> None:
                channel, owner = proven
                if waiting is not None and not self._spares.leave(waiting):
                    self._spares.replace(waiting, channel, owner, opener.seconds)
                    return
                on_opened(owner)
                channel.carry(client)
                if owner is Owner.OURS:
                    self._spares.used(target, opener.seconds)

            def refused(error: ProblemError) -> None:
                is_waiting = waiting is None or self._spares.leave(waiting)
                self._spares.refused(target, error)
                if is_waiting:
                    on_refused(error)

            waiting = self._spares.wait(target, carry_over) if may_wait else None
            opener = _HeldOpener(self._open_held, client.origin)
            run(self._open(opener, target, named), opened, refused)

        spare = self._spares.take(target)
        if spare is None:
            carry_fresh()
        else:
            carry_over(spare)

    def forget(self, target: Endpoint) -> None:
        """See `link.Carrier.forget`."""
        self._spares.forget(target)

    def close(self) -> None:
        """Open nothing ahead any more. Never raises; may be called twice."""
        self._spares.close(_JOIN_SECONDS)

    def owner(self, target: Endpoint) -> Owner:
        """See `link.Link.owner`."""
        try:
            if isinstance(target, UnixEndpoint):
                path = wait(self._ownership.path(target.path))
                return Owner.UNKNOWN if path is None else path.owner
            places = _places(target)
            table_rows = wait(self._ownership.table(target.port)) if places else None
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

    def _open_spare(
        self,
        target: Endpoint,
        on_opened: Callable[[HeldChannel, float], None],
        on_refused: OnRefused,
    ) -> None:
        opener = _HeldOpener(self._open_held, _NO_ORIGIN)
        run(
            self._open(opener, target, named=False),
            lambda proven: on_opened(proven[0], opener.seconds),
            on_refused,
        )

    # --- the steps of both ways -------------------------------------------------------------------

    async def _open(self, opener: Opener[C], target: Endpoint, named: bool) -> tuple[C, Owner]:
        if isinstance(target, UnixEndpoint):
            channel, owner = await self._open_path(opener, target)
        else:
            channel, owner = await self._open_port(opener, target)
        if owner is Owner.OURS or (named and owner in (Owner.SYSTEM, Owner.UNKNOWN)):
            return channel, owner
        channel.close()
        raise NotOursError(not_ours(target, owner), owner)

    async def _open_port(self, opener: Opener[C], target: TcpEndpoint) -> tuple[C, Owner]:
        if target.host.lower() != "localhost":
            return await self._open_planned(opener, _ChannelPlan(target, _places(target)), target)
        last = self._own_addresses.get(target.port)
        if last is not None:
            try:
                channel, owner = await self._open_planned(opener, _plan_for(last), target)
            except NotOpenedError:
                pass  # it no longer listens, or listens on the other address
            else:
                if owner is Owner.OURS:
                    return channel, owner
                channel.close()
            self._own_addresses.pop(target.port, None)
        place = await self._choose(target)
        if place is not None:
            try:
                channel, owner = await self._open_planned(opener, _plan_for(place), target)
            except NotOpenedError as error:
                if error.refusal is not Refusal.FORBIDDEN:
                    raise
                # PermitOpen compares the host's text.
            else:
                if owner is Owner.OURS:
                    self._own_addresses[target.port] = place
                return channel, owner
        return await self._open_planned(opener, _ChannelPlan(target, _places(target)), target)

    async def _choose(self, target: TcpEndpoint) -> Address | None:
        """The address of localhost with the best listener; None if none is known."""
        table_rows = await self._table(target)
        if table_rows is None:
            return None
        account, table = table_rows
        places = _places(target)
        found = {place: owners.listener(table, account, place) for place in places}
        there = [place for place in places if found[place] is not Owner.NOBODY]
        return min(there, key=lambda place: _RANK[found[place]], default=None)

    async def _open_planned(
        self, opener: Opener[C], plan: _ChannelPlan, target: TcpEndpoint
    ) -> tuple[C, Owner]:
        opening = opener(plan.endpoint)
        early = self._ask_early(opening, plan, target)
        channel = await Answer(opening)
        try:
            if early is not None and await self._is_proven(early, plan.places[0]):
                return channel, Owner.OURS
            return channel, await self._owner_of_connection(plan, target)
        except BaseException:
            channel.close()
            raise

    async def _owner_of_connection(self, plan: _ChannelPlan, target: TcpEndpoint) -> Owner:
        """The owner of the far end of a channel that is open."""
        table_rows = await self._table(target)
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
            again = await self._table(target)
            if again is None or half_made & owners.half_made(again[1], again[0], plan.places):
                raise NotOursError(not_accepted(target), Owner.UNKNOWN)
        return owner

    def _ask_early(
        self, opening: Future[C], plan: _ChannelPlan, target: TcpEndpoint
    ) -> Future[Table | None] | None:
        """Ask for the table together with the channel, which saves a round trip."""
        if self._in_order is None or opening.done() or len(plan.places) != 1:
            return None
        early: Future[Table | None] = Future()

        def ask() -> None:
            self._ownership.table(target.port, early)

        return early if self._in_order(ask) else None

    async def _is_proven(self, early: Future[Table | None], place: Address) -> bool:
        """Whether a table that was read behind the request for a channel, and maybe before that was
        open, proves that the channel leads to the account's own listener."""
        try:
            table_rows = await Answer(early)
        except NotAnsweredError:
            return False
        if table_rows is None:
            return False
        judged = self._judged
        if judged is None or judged.table is not table_rows or judged.place != place:
            account, table = table_rows
            is_settled = owners.is_settled(table, account, place)
            is_ours = is_settled and owners.connection(table, account, place) is Owner.OURS
            judged = self._judged = _Judged(table_rows, place, is_ours)
        return judged.is_ours

    async def _table(self, target: TcpEndpoint) -> Table | None:
        try:
            return await Answer(self._ownership.table(target.port))
        except NotAnsweredError as error:
            raise NotOursError(not_reported(target, str(error)), Owner.UNKNOWN) from error

    async def _open_path(self, opener: Opener[C], target: UnixEndpoint) -> tuple[C, Owner]:
        try:
            before = await Answer(self._ownership.path(target.path))
            if before is not None and before.owner is Owner.OTHERS:
                raise NotOursError(not_ours(target, before.owner), before.owner)
            if before is not None and before.is_open:
                raise NotOursError(replaceable(target), before.owner)
            is_ours = before is not None and before.owner is Owner.OURS
            really = UnixEndpoint(before.place) if before is not None and is_ours else target
            channel = await Answer(opener(really))
            try:
                after = await Answer(self._ownership.path(target.path))
            except BaseException:
                channel.close()
                raise
        except NotAnsweredError as error:
            raise NotOursError(not_reported(target, str(error)), Owner.UNKNOWN) from error
        if before is None or after is None:
            return channel, Owner.UNKNOWN
        return channel, after.owner if before == after else Owner.NOBODY


class _HeldOpener:
    """An `Opener` that measures how long the last opening took."""

    def __init__(self, open_held: OpenHeld, origin: tuple[str, int]) -> None:
        self._open_held = open_held
        self._origin = origin
        self.seconds = 0.0

    def __call__(self, endpoint: Endpoint) -> Future[HeldChannel]:
        opening: Future[HeldChannel] = Future()
        begin = time.monotonic()

        def opened(channel: HeldChannel) -> None:
            self.seconds = time.monotonic() - begin
            opening.set_result(channel)

        self._open_held(endpoint, self._origin, opened, opening.set_exception)
        return opening


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
