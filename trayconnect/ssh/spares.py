"""Channels that are opened and proven ahead, so that the first byte of a new connection to a far
server takes one round trip: as browsers preconnect."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from trayconnect.core.closing import do_all
from trayconnect.core.endpoints import Endpoint
from trayconnect.core.errors import ProblemError
from trayconnect.core.link import LostError, NotOpenedError, OnRefused, Owner, Refusal
from trayconnect.core.threads import Timer
from trayconnect.ssh.held_channel import HeldChannel

LEAST, MOST = 2, 6
"""Channels that are ready or being opened, for each target: as many as connections came at once
lately, within these limits. Browsers open six to a host."""
WORTH_SECONDS = 0.005
"""A channel that opens faster, which is one of the two round trips that a spare one saves, is not
opened ahead."""
IDLE_SECONDS = 30.0
"""The server sees a connection that sends nothing for so long; browsers leave theirs as long."""
_LEAST_IDLE = 1.0
"""Where the far end leaves an unused connection less than twice that, none is opened ahead."""
_REMEMBERED = 4
_FIRST_SECONDS = 0.2
"""Connections that came within so long came at once, until it is known how long an opening
takes."""


class OpenSpare(Protocol):
    """Opens a channel whose listener is proven to be the account's own; never blocks. `on_opened`
    also gets the seconds that the opening took. Either is called once, on any thread."""

    def __call__(
        self,
        target: Endpoint,
        on_opened: Callable[[HeldChannel, float], None],
        on_refused: OnRefused,
    ) -> None: ...


@dataclass(slots=True, eq=False)
class Waiting:
    """A client whose own channel is being opened. It gets a spare one that is ready before, which
    its own then replaces: no client's channel lies behind one that nobody uses, where a server that
    serves one connection at a time would let it wait."""

    target: Endpoint
    give: Callable[[HeldChannel], None]
    pool: _Pool | None = None
    is_served: bool = False


class _Spare(NamedTuple):
    channel: HeldChannel
    since: float


class _Pool:
    """The spares of one target, and the policy."""

    def __init__(self) -> None:
        self.ready: deque[_Spare] = deque()
        """The oldest first: a server that serves one connection at a time waits for its request."""
        self.idle = IDLE_SECONDS
        """How long one is kept: less than the far end keeps it, for a request that crosses the far
        end's close is lost."""
        self.opening = 0
        """Also the own channels of clients that got a spare one."""
        self.waiting: deque[Waiting] = deque()
        self.seconds: deque[float] = deque(maxlen=_REMEMBERED)
        """How long the last openings took."""
        self._came: deque[float] = deque(maxlen=MOST)
        """When the last connections came."""
        self._at_once = 0
        """The most that came at once lately …"""
        self._lately = 0.0
        """… and when that was."""

    def came(self, now: float) -> None:
        """A connection has come."""
        self._came.append(now)
        since = now - max(self.seconds, default=_FIRST_SECONDS)
        at_once = sum(came >= since for came in self._came)
        if at_once >= self._at_once or now > self._lately + IDLE_SECONDS:
            self._at_once, self._lately = at_once, now

    @property
    def missing(self) -> int:
        if not self.seconds or min(self.seconds) < WORTH_SECONDS or self.idle < _LEAST_IDLE:
            return 0
        wanted = min(MOST, max(LEAST, self._at_once))
        return max(0, wanted - len(self.ready) - self.opening)

    def empty(self) -> list[_Spare]:
        """Take all that are ready."""
        ready = list(self.ready)
        self.ready.clear()
        return ready


class Spares:
    """Of one link. From any thread."""

    def __init__(self, open_spare: OpenSpare, now: Callable[[], float] = time.monotonic) -> None:
        self._open_spare = open_spare
        self._now = now
        self._lock = threading.Lock()
        self._pools: dict[Endpoint, _Pool] = {}
        """By the target, from its first connection on, proven or not."""
        self._is_over = False
        """Whether nothing more is opened ahead."""
        self._expiry = Timer(self.expire)

    def used(self, target: Endpoint, seconds: float) -> None:
        """A connection to the target was proven; its channel opened in so many seconds."""
        with self._lock:
            if self._is_over:
                return
            pool = self._pools.setdefault(target, _Pool())
            pool.seconds.append(seconds)
        self._fill(target, pool)

    def take(self, target: Endpoint) -> HeldChannel | None:
        """For a connection that has come: a spare to the target, which another one replaces; None
        if there is none."""
        spent: list[_Spare] = []
        taken = None
        with self._lock:
            if self._is_over:
                return None
            pool = self._pools.setdefault(target, _Pool())
            pool.came(self._now())
            while pool.ready and taken is None:
                spare = pool.ready.popleft()
                if spare.channel.is_untouched:
                    taken = spare.channel
                else:
                    spent.append(spare)
        _close(spent)
        if taken is not None:
            self._fill(target, pool)
        return taken

    def wait(self, target: Endpoint, give: Callable[[HeldChannel], None]) -> Waiting:
        """Call `give` with the next spare to the target, on any thread, unless `leave` comes
        before."""
        waiting = Waiting(target, give)
        with self._lock:
            waiting.pool = self._pools.get(target)
            if waiting.pool is not None:
                waiting.pool.waiting.append(waiting)
        return waiting

    def leave(self, waiting: Waiting) -> bool:
        """Wait no more; false if a spare was given."""
        with self._lock:
            if not waiting.is_served and waiting.pool is not None:
                waiting.pool.waiting.remove(waiting)
            return not waiting.is_served

    def replace(self, waiting: Waiting, channel: HeldChannel, owner: Owner, seconds: float) -> None:
        """The own channel of a client that got a spare is open."""
        if waiting.pool is not None and owner is Owner.OURS:
            self._opened(waiting.target, waiting.pool, channel, seconds)
        else:
            channel.close()
            self.forget(waiting.target)

    def refused(self, target: Endpoint, error: ProblemError) -> None:
        """A channel to the target was refused. Close its spares, and, unless the target is to
        blame, all of them for good: the server may be short of resources."""
        if isinstance(error, NotOpenedError) and error.refusal is Refusal.OTHER:
            self.close()
        elif not isinstance(error, LostError):
            self.forget(target)

    def forget(self, target: Endpoint) -> None:
        """Close the spares of the target, until its next connection."""
        with self._lock:
            pool = self._pools.pop(target, None)
            ready = pool.empty() if pool is not None else []
        _close(ready)

    def close(self, timeout: float = 0.0) -> None:
        """Close all, and open no more; wait so long for the timer's thread. Never raises; may be
        called twice."""
        with self._lock:
            self._is_over = True
            ready = [spare for pool in self._pools.values() for spare in pool.empty()]
            self._pools = {}
        do_all(lambda: _close(ready), lambda: self._expiry.stop(timeout))

    def expire(self) -> None:
        """Close those that nobody used for a while."""
        with self._lock:
            now = self._now()
            expired = []
            for pool in self._pools.values():
                while pool.ready and pool.ready[0].since <= now - pool.idle:
                    expired.append(pool.ready.popleft())
            self._set_expiry(now)
        _close(expired)

    def _set_expiry(self, now: float) -> None:
        """The caller holds the lock. Raises RuntimeError if the system has no threads left."""
        due = [pool.ready[0].since + pool.idle for pool in self._pools.values() if pool.ready]
        if due:
            self._expiry.set(max(0.0, min(due) - now))

    def _fill(self, target: Endpoint, pool: _Pool) -> None:
        with self._lock:
            missing = 0 if self._is_over else pool.missing
            pool.opening += missing
        for _ in range(missing):
            self._open_spare(
                target,
                lambda channel, seconds: self._opened(target, pool, channel, seconds),
                lambda error: self._not_opened(target, pool, error),
            )

    def _opened(self, target: Endpoint, pool: _Pool, channel: HeldChannel, seconds: float) -> None:
        served: Waiting | None = None
        with self._lock:
            pool.opening -= 1
            is_wanted = self._pools.get(target) is pool
            if is_wanted:
                pool.seconds.append(seconds)
                if pool.waiting:
                    served = pool.waiting.popleft()
                    served.is_served = True
                    pool.opening += 1
                else:
                    pool.ready.append(_Spare(channel, self._now()))
        if served is not None:
            served.give(channel)
        elif is_wanted:
            channel.watch(lambda: self._touched(pool, channel))
            try:
                with self._lock:
                    self._set_expiry(self._now())
            except RuntimeError:  # no more threads: nothing would close it
                self.forget(target)
        else:
            channel.close()

    def _not_opened(self, target: Endpoint, pool: _Pool, error: ProblemError) -> None:
        with self._lock:
            pool.opening -= 1
        self.refused(target, error)

    def _touched(self, pool: _Pool, channel: HeldChannel) -> None:
        """The far end has sent something, or closed it: it is no fresh connection any more."""
        with self._lock:
            touched = [spare for spare in pool.ready if spare.channel is channel]
            for spare in touched:
                pool.ready.remove(spare)
                pool.idle = min(pool.idle, (self._now() - spare.since) / 2)
        _close(touched)


def _close(spares: Iterable[_Spare]) -> None:
    do_all(*(spare.channel.close for spare in spares))
