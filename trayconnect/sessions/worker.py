"""Carries out the effects of one session, in order, on one thread.

The manager's thread never waits for it. As soon as an effect ends the attempt, the attempt's
`CancelToken` releases a blocking call.
"""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Callable
from functools import partial

from trayconnect.config.forward_model import Forward
from trayconnect.config.forward_syntax import Kind
from trayconnect.config.model import Server
from trayconnect.core.closing import do_all
from trayconnect.core.endpoints import UnixEndpoint
from trayconnect.core.errors import Cancelled, Problem, ProblemError, problem_of, shortage
from trayconnect.core.link import Link, Own
from trayconnect.core.threads import JobThread, Timer
from trayconnect.sessions.attempt import Attempt
from trayconnect.sessions.dependencies import Dependencies, Forwarding
from trayconnect.sessions.forwards import LinkInfo
from trayconnect.sessions.state import Closed, Connected, Failed, Report
from trayconnect.ssh.config.configured_forwards import NOTHING, ConfiguredForwards

logger = logging.getLogger(__name__)

REQUEST_AGAIN = 60.0
"""Seconds, at least, before a refused remote forward is requested again: the listener of a session
that was lost may hold the port until the server notices."""
REQUEST_AGAIN_TIMES = 10
TIDY_SECONDS = 3.0
"""Limit for removing the file of a UNIX socket that the server listened on for us."""
TIDY_AT_END = 0.3
TIDY_ROUND_TRIPS = 5
"""The same when the user disconnects: so many seconds, and so many round trips more, as a server
that hangs must not delay the end."""


class Worker:
    """The worker of one session. Its methods are called on the manager's thread and return at
    once."""

    def __init__(
        self,
        name: str,
        dependencies: Dependencies,
        report: Callable[[Report], None],
        on_change: Callable[[], None],
        on_refused: Callable[[], None],
    ) -> None:
        """Called from any thread: `report` with what happens, `on_change` when `info` has changed,
        and `on_refused` when a connection did not reach its target."""
        self._name = name
        self._dependencies = dependencies
        self._report = report
        self._on_change = on_change
        self._on_refused = on_refused
        self._live: Attempt | None = None
        self._forwarding: Forwarding | None = None
        self._additions: ConfiguredForwards = NOTHING
        self._unbound: dict[str, int | Problem] = {}
        """Why forwards of ssh_config(5) are not bound, by their names."""
        self._banner = ""
        self._remote_sockets: set[str] = set()
        """The paths that a server listened on for us: OpenSSH leaves their files behind, and then
        refuses to listen there again."""
        self._thread = JobThread("session", name)
        self._request_again = Timer(self._request_again_soon)

    @property
    def link(self) -> Link | None:
        """The live link, if there is one. From any thread."""
        live = self._live
        return live.link if live else None

    @property
    def info(self) -> LinkInfo:
        live = self._live
        link = live.link if live else None
        return LinkInfo(
            latency=link.latency if link else None,
            traffic=link.traffic if link else None,
            banner=self._banner,
            progress=live.progress if live else "",
            additions=self._additions,
            answers=self._unbound | (live.answers if live else {}),
        )

    def set_target(self, target: Own | Problem) -> None:
        """See `Forwarding.set_target`. From any thread."""
        forwarding = self._forwarding
        if forwarding is not None:
            forwarding.set_target(target)

    # --- effects ---

    def open(self, number: int, server: Server) -> None:
        """Raises RuntimeError if no thread can be started."""
        live = Attempt(number, server, self._dependencies, self._report, self._on_change)
        self._live = live
        self._thread.put(lambda: self._open(live))

    def drop(self) -> None:
        live = self._end_live()
        self._thread.put_or_run(lambda: self._drop(live))

    def close(self, number: int) -> None:
        live = self._end_live()
        self._thread.put_or_run(lambda: self._close(live, number))

    def update(self, server: Server) -> None:
        if self._live:
            self._live.server = server

    def check(self) -> None:
        live = self._live
        if live and live.link:
            live.link.check()
            if live.refused(self._additions.forwards):
                self._request_again_soon()

    def join(self, timeout: float) -> bool:
        """Wait for the thread to end, after `close`; false if it has not."""
        self._request_again.stop(timeout)
        return self._thread.join(timeout)

    def _request_again_soon(self) -> None:
        try:
            self._thread.put(self._request_again_if_due)
        except RuntimeError:  # no more threads
            self._request_again.set(REQUEST_AGAIN)

    def _end_live(self) -> Attempt | None:
        live, self._live = self._live, None
        if live:
            live.cancel.set()
        return live

    # --- on the thread ---

    def _open(self, live: Attempt) -> None:
        try:
            live.cancel.check()
            connector = self._dependencies.connector(live.server)
            config = connector.resolve(live.server, live.cancel)
            live.cancel.check()
            forwarding = self._forwarding
            if forwarding is None:
                forwarding = self._listen(live.server, config.additions if config else NOTHING)
            link = connector.connect(
                live.server,
                config=config,
                ask=live.ask,
                cancel=live.cancel,
                on_lost=lambda problem: self._report(Failed(live.number, problem)),
                display=live,
            )
        except Cancelled:
            return
        except Exception as error:
            problem = problem_of(error)
            if not (isinstance(error, ProblemError) or shortage(error)):
                logger.exception("%s: a bug in connecting", self._name)
            self._report(Failed(live.number, problem))
            return
        live.link = link
        self._banner = link.banner
        forwarding.attach(link)
        self._report(Connected(live.number, link.typed_login))
        for forward in (*live.server.forwards, *self._additions.forwards):
            if forward.kind is Kind.REMOTE:
                self._listen_remote(live, link, forwarding, forward)

    def _listen(self, server: Server, additions: ConfiguredForwards) -> Forwarding:
        forwarding = self._forwarding = self._dependencies.listen(
            server, also=additions.forwards, on_refused=self._refused
        )
        self._additions, self._unbound = additions, dict(forwarding.unbound_forwards)
        for name, problem in forwarding.unbound_forwards:
            logger.warning("%s: %s: %s", self._name, name, problem.logged)
        self._on_change()
        return forwarding

    def _refused(self, problem: Problem) -> None:
        logger.debug("%s: a connection was refused: %s", self._name, problem)
        self._on_refused()

    # --- remote forwards ---

    def _listen_remote(
        self, live: Attempt, link: Link, forwarding: Forwarding, forward: Forward
    ) -> None:
        live.next_request = time.monotonic() + REQUEST_AGAIN
        target, where = forward.leads_to, forward.listens(live.server.bind_address)
        assert target is not None
        if isinstance(where, UnixEndpoint) and where.path in self._remote_sockets:
            self._tidy(link, where.path)

        def answered(answer: int | Problem) -> None:
            live.answered(forward.name, answer)
            if isinstance(answer, Problem):
                logger.warning("%s: %s: %s", self._name, forward.name, answer)
                self._request_again.set(REQUEST_AGAIN)
            elif isinstance(where, UnixEndpoint):
                self._remote_sockets.add(where.path)

        link.listen(where, lambda incoming: forwarding.take(incoming, target), answered)

    def _request_again_if_due(self) -> None:
        live, forwarding = self._live, self._forwarding
        if live is None or live.link is None or forwarding is None:
            return
        refused = live.refused(self._additions.forwards)
        if not refused or live.requested_again >= REQUEST_AGAIN_TIMES:
            return
        wait = live.next_request - time.monotonic()
        if wait > 0:
            self._request_again.set(wait)
            return
        live.requested_again += 1
        for forward in refused:
            self._listen_remote(live, live.link, forwarding, forward)

    def _tidy_at_end(self, link: Link) -> None:
        seconds = TIDY_AT_END + TIDY_ROUND_TRIPS * (link.latency or 0.0)
        self._tidy(link, *self._remote_sockets, seconds=min(seconds, TIDY_SECONDS))

    def _tidy(self, link: Link, *paths: str, seconds: float = TIDY_SECONDS) -> None:
        names = [shlex.quote(path) for path in paths]
        command = "; ".join(f"test -S {name} && rm -f {name}" for name in names)
        try:
            link.execute(command, b"", seconds)
        except ProblemError as error:
            logger.debug("%s: %s left on the server: %s", self._name, paths, error.problem)
        else:
            self._remote_sockets.difference_update(paths)

    # --- the end ---

    def _drop(self, live: Attempt | None) -> None:
        do_all(
            *([self._forwarding.detach] if self._forwarding else []),
            *([live.link.close] if live and live.link else []),
        )

    def _close(self, live: Attempt | None, number: int) -> None:
        """Close the link before the forwarding, whose threads may wait for a server that hangs."""
        forwarding, self._forwarding = self._forwarding, None
        link = live.link if live else None
        do_all(
            *([forwarding.detach] if forwarding else []),
            *([partial(self._tidy_at_end, link)] if link and self._remote_sockets else []),
            *([link.close] if link else []),
            *([forwarding.close] if forwarding else []),
            lambda: self._report(Closed(number)),
        )
