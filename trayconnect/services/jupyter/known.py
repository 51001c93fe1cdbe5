"""What is known of the Jupyters behind one link, and when to search again."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, field

from trayconnect.config.model import SAME_HOST, Server
from trayconnect.core.abandonable import Background
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.endpoints import Endpoint
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.link import Link
from trayconnect.services.jupyter.discovery import Discovery, RunningServer, find
from trayconnect.services.jupyter.kernels import KernelWatch
from trayconnect.services.jupyter.model import Health
from trayconnect.services.jupyter.node import find_at_node
from trayconnect.services.jupyter.readiness import HealthCheck, ProbeTarget
from trayconnect.services.jupyter.selection import Picked, candidates
from trayconnect.services.jupyter.short_check import ShortCheck
from trayconnect.services.protocol import Level

logger = logging.getLogger(__name__)

SEARCH_SHARE = 0.05
"""The most time, as a part of the whole, to spend on searches while nothing answers."""

LONGEST_PAUSE = 60.0
"""Seconds, at most, between two searches while nothing answers: a slow login shell is no load."""

AGAIN = (5.0, 10.0, 20.0, 40.0, 60.0, 120.0)
"""Seconds from a failed search to the next one: after the first failure, the second, …"""

QUICK = 2.0
"""Seconds for a search that is no load."""

FRESH = 2.0
"""Seconds, at least, for which a search proves the owner of a port: later, the port gets a token
only after another search."""


@dataclass(slots=True)
class KnownServer:
    """What is known behind one link. Times are on the monotonic clock."""

    findings: Discovery = field(default_factory=Discovery)
    servers: tuple[RunningServer, ...] = ()
    """The servers that the entry may use."""
    picked: Picked = field(default_factory=Picked)
    answered: bool = False
    """Whether something answered in the last check."""
    silent: Endpoint | None = None
    """Where nothing answered in the last check: the server may log each channel that it refuses."""
    searched: float = -math.inf
    """When the last search ended."""
    succeeded: bool = False
    """Whether the last search worked."""
    hindered: Problem | None = None
    """Why the last search failed."""
    failures: int = 0
    """Failed searches in a row."""
    under_way: Background[Discovery] | None = None
    """A search in the background."""
    began: float = 0.0
    """When the last search began."""
    next_search: float = -math.inf
    """The earliest time of the next search while nothing answers."""
    may_forward: bool | None = None
    """Whether the server allows forwarding; None: not asked yet."""
    forbidden: Problem | None = None
    """Why it does not."""
    ended: set[RunningServer] = field(default_factory=set)
    """Servers of another host whose ports are closed; their runtime files may stay."""
    watch: KernelWatch = field(default_factory=KernelWatch)
    front: str | None = None
    """The page that is there, if the file names none; None: unknown."""
    short: ShortCheck | None = None
    """What the next check may do instead of a complete one."""

    @property
    def is_fresh(self) -> bool:
        """Whether the result of the last search still counts."""
        return time.monotonic() < max(self.searched + FRESH, self.next_search)

    @property
    def is_proven(self) -> bool:
        """Whether the ports are proven to belong to the servers that were found."""
        return self.succeeded and self.is_fresh

    def search(
        self, server: Server, tunnel: Link, cancel: CancelToken, patience: float | None = None
    ) -> None:
        """Search, and keep the result; after a failure, the previous result stays. After `patience`
        seconds the search continues in the background, and the next call waits for it again."""
        if self.under_way is None:
            self.began = time.monotonic()
            self.under_way = Background(lambda: _find(server, tunnel), f"tc-find {server.name}")
        search, self.succeeded = self.under_way, False
        try:
            found = search.result(cancel, patience)
        except TimeoutError:
            return
        except ProblemError as error:
            logger.info("%s: no search for Jupyter: %s", server.name, error.problem)
            self.hindered = error.problem
            self.failures += 1
            pause = AGAIN[min(self.failures, len(AGAIN)) - 1]
        else:
            self.succeeded = True
            self.hindered = None
            self.failures = 0
            self.findings = found
            fitting = candidates(found, server.jupyter)
            self.servers = tuple(one for one in fitting if one not in self.ended)
            logger.debug("%s: %d running: %s", server.name, len(found.servers), self.servers)
            took = time.monotonic() - self.began
            pause = min(LONGEST_PAUSE, took * (1 / SEARCH_SHARE - 1))
        finally:
            if search.is_over:  # after any failure: the next search may work
                self.under_way = None
        self.searched = time.monotonic()
        self.next_search = self.searched + pause

    def check_briefly(self) -> Health | None:
        """See `ShortCheck`; after None, a complete check follows. Raises `Cancelled`."""
        short = self.short
        health = None if short is None else short()
        if health is None:
            self.forget_short()
        return health

    def forget_short(self) -> None:
        """The next check is a complete one."""
        short, self.short = self.short, None
        if short is not None:
            short.close()

    def search_soon(self) -> None:
        """Search in the next check; after a slow search, only after a pause as long: an open
        browser tab asks every few seconds."""
        took = self.searched - self.began
        soon = self.searched + took if took > QUICK else -math.inf
        self.next_search = min(self.next_search, soon)

    def is_worth_a_search(self, target: ProbeTarget, seen: HealthCheck) -> bool:
        """Whether to search at once, after a check with what was known."""
        if self.under_way is not None:
            return seen.level >= Level.READY
        # Jupyter may have restarted on another port, or with another token.
        if seen.token_refused:
            return time.monotonic() >= min(self.next_search, self.searched + FRESH)
        if seen.level < Level.READY:
            return time.monotonic() >= self.next_search
        # It answers for the first time, and the last search may be older.
        is_new = self.picked.running is None and not self.answered
        return is_new or (self.withholds_token(target) and not self.is_fresh)

    def withholds_token(self, target: ProbeTarget) -> bool:
        """Whether the check sent no token because the owner of the port was no longer proven."""
        running = self.picked.running
        return running is not None and target.token != running.token


def _find(server: Server, tunnel: Link) -> Discovery:
    host, node, run = server.host or server.name, server.jupyter.host, tunnel.execute
    return find(run, host) if node in SAME_HOST else find_at_node(run, host, node)
