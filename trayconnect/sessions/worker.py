"""Carries out the effects of one session, one after the other, on a thread of its own.

The thread lives while there is something to do: an idle link has none. Orders never wait for one
another on the manager's thread: whatever blocks is released by the attempt's `CancelToken` the
moment an order comes in that ends it.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from trayconnect.config.forward_syntax import Kind
from trayconnect.config.model import Forward, Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.endpoints import UnixEndpoint
from trayconnect.core.errors import Cancelled, Problem, ProblemError, problem_of, shortage
from trayconnect.core.link import Link, Own
from trayconnect.core.page import Browser
from trayconnect.core.questions import Answer, Prompter, Question
from trayconnect.services.protocol import MakeServices
from trayconnect.sessions.dependencies import Connector, Forwarding, Listen
from trayconnect.sessions.events import (
    Answered,
    Asked,
    Closed,
    Connected,
    ConnectFailed,
    ForwardsBound,
    Lost,
    RemoteAnswered,
    Report,
)
from trayconnect.sessions.telling import Telling
from trayconnect.ssh.config.configured_forwards import NOTHING, ConfiguredForwards

logger = logging.getLogger(__name__)

ASK_AGAIN = 60.0
"""Seconds, at least, before a server is asked again for a remote forward that it refused: the
listener of a session that was lost may hold the port until the server notices."""
ASK_AGAIN_TIMES = 10
TIDY_SECONDS = 3.0
"""For removing the file of a UNIX socket that the server listened on for us."""
TIDY_AT_END = 0.3
TIDY_ROUND_TRIPS = 5
"""The same when the user disconnects: so many seconds, and so many round trips more. A server that
hangs holds up nobody for longer."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What a runner works with."""

    connector: Callable[[Server], Connector]
    listen: Listen
    prompter: Prompter
    browser: Browser
    services: MakeServices


Job = Callable[[], None]


@dataclass(slots=True)
class Attempt:
    """One attempt to connect, and what came of it."""

    attempt: int
    server: Server
    cancel: CancelToken
    tunnel: Link | None = None
    refused: dict[str, Forward] = field(default_factory=dict)
    """The remote forwards that the server refused, by their names."""
    asked_again: int = 0
    next_ask: float = 0.0
    """On the monotonic clock."""


class Worker:
    """The worker of one session. Its methods are called on the manager's thread and return at
    once; what happens is told through `report`."""

    def __init__(
        self,
        name: str,
        peers: Dependencies,
        report: Callable[[Report], None],
        refused: Callable[[], None] = lambda: None,
    ) -> None:
        """`refused` is called, from any thread, when a connection could not be carried through."""
        self._name = name
        self._peers = peers
        self._report = report
        self._on_refused = refused
        self._live: Attempt | None = None
        self._forwarding: Forwarding | None = None
        self._added: tuple[Forward, ...] = ()
        """The forwards of ssh_config(5), once the listeners are bound."""
        self._sockets_there: set[str] = set()
        """The paths that a server listened on for us: OpenSSH leaves their files behind, and then
        refuses to listen there again."""
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        """Guards the jobs and `_is_running`."""
        self._is_running = False
        self._thread: threading.Thread | None = None
        """The present thread, or the last one."""

    @property
    def tunnel(self) -> Link | None:
        """The live tunnel, if there is one. From any thread."""
        live = self._live
        return live.tunnel if live else None

    def set_target(self, target: Own | Problem) -> None:
        """See `Forwarding.set_target`. From any thread."""
        forwarding = self._forwarding
        if forwarding is not None:
            forwarding.set_target(target)

    @property
    def latency(self) -> float | None:
        """Seconds of the last heartbeat's round trip, if there is a tunnel."""
        live = self._live
        return live.tunnel.latency if live and live.tunnel else None

    # --- orders ---

    def open(self, attempt: int, server: Server) -> None:
        """Raises RuntimeError when no thread is to be had."""
        live = Attempt(attempt, server, CancelToken())
        self._live = live
        self._put(lambda: self._open(live))

    def drop(self) -> None:
        live = self._end_live()
        self._put_or_do(lambda: self._drop(live))

    def close(self, attempt: int) -> None:
        live = self._end_live()
        self._put_or_do(lambda: self._close(live, attempt))

    def update(self, server: Server) -> None:
        if self._live:
            self._live.server = server

    def check(self) -> None:
        live = self._live
        if live and live.tunnel:
            live.tunnel.check()
            if live.refused:
                self._ask_again_soon()

    def join(self, timeout: float) -> bool:
        """Wait for the thread to end, after `close`; false if it has not."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()

    def _put(self, job: Job) -> None:
        """Have it done after what was put before. Raises RuntimeError."""
        with self._changed:
            self._jobs.append(job)
            if self._is_running:
                self._changed.notify()
                return
            thread = threading.Thread(
                target=self._run, name=f"tc-session {self._name}", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:
                self._jobs.pop()
                raise
            self._is_running, self._thread = True, thread

    def _put_or_do(self, job: Job) -> None:
        try:
            self._put(job)
        except RuntimeError:  # no more threads; it ends something, and takes no long time
            self._do(job)

    def _ask_again_soon(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._put(self._ask_again_where_due)

    def _end_live(self) -> Attempt | None:
        live, self._live = self._live, None
        if live:
            live.cancel.set()
        return live

    # --- on the thread, which lives while there is something to do ---

    def _run(self) -> None:
        while (job := self._next()) is not None:
            self._do(job)

    def _next(self) -> Job | None:
        with self._changed:
            while not self._jobs:
                wait = self._until_next_ask()
                if wait is None:
                    self._is_running = False
                    return None
                if not self._changed.wait(wait):
                    return self._ask_again_where_due
            return self._jobs.popleft()

    def _do(self, job: Job) -> None:
        try:
            job()
        except Exception as error:
            if (short := shortage(error)) is not None:
                logger.warning("%s: %s", self._name, short.logged)
            else:
                logger.exception("%s: something nobody foresaw", self._name)

    def _until_next_ask(self) -> float | None:
        live = self._live
        if live is None or not live.refused or live.asked_again >= ASK_AGAIN_TIMES:
            return None
        return max(0.0, live.next_ask - time.monotonic())

    def _open(self, live: Attempt) -> None:
        attempt = live.attempt
        try:
            live.cancel.check()
            connector = self._peers.connector(live.server)
            config = connector.resolve(live.server, live.cancel)
            live.cancel.check()
            if self._forwarding is None:
                self._forwarding = self._listen(live, config.additions if config else NOTHING)
            tunnel = connector.connect(
                live.server,
                config=config,
                ask=lambda question: self._ask(live, question),
                cancel=live.cancel,
                on_lost=lambda problem: self._report(Lost(attempt, problem)),
                display=Telling(
                    attempt, live.cancel, self._peers.prompter, self._peers.browser, self._report
                ),
            )
        except Cancelled:
            return
        except Exception as error:
            problem = problem_of(error)
            if not (isinstance(error, ProblemError) or shortage(error)):
                logger.exception("%s: connecting failed in a way nobody foresaw", self._name)
            self._report(ConnectFailed(attempt, problem))
            return
        live.tunnel = tunnel
        self._forwarding.attach(tunnel.open_channel, tunnel.open_own_channel)
        self._report(Connected(attempt, tunnel.typed_login, tunnel.banner))
        for forward in (*live.server.forwards, *self._added):
            if forward.kind is Kind.REMOTE:
                self._listen_remote(live, tunnel, self._forwarding, forward)

    def _listen(self, live: Attempt, additions: ConfiguredForwards) -> Forwarding:
        forwarding = self._peers.listen(
            live.server, also=additions.forwards, on_refused=self._refused
        )
        self._added = additions.forwards
        for name, problem in forwarding.unbound_forwards:
            logger.warning("%s: %s: %s", self._name, name, problem.logged)
        self._report(ForwardsBound(live.attempt, additions, forwarding.unbound_forwards))
        return forwarding

    def _listen_remote(
        self, live: Attempt, tunnel: Link, forwarding: Forwarding, forward: Forward
    ) -> None:
        live.next_ask = time.monotonic() + ASK_AGAIN
        target, where = forward.leads_to, forward.listens(live.server.bind_address)
        assert target is not None
        if isinstance(where, UnixEndpoint) and where.path in self._sockets_there:
            self._tidy(tunnel, where.path)

        def answered(answer: int | Problem) -> None:
            if isinstance(answer, Problem):
                live.refused[forward.name] = forward
                self._ask_again_soon()  # the thread waits for its time then
                logger.warning("%s: %s: %s", self._name, forward.name, answer)
            else:
                live.refused.pop(forward.name, None)
                if isinstance(where, UnixEndpoint):
                    self._sockets_there.add(where.path)
            self._report(RemoteAnswered(live.attempt, forward.name, answer))

        tunnel.listen(where, lambda incoming: forwarding.take(incoming, target), answered)

    def _tidy_at_end(self, tunnel: Link) -> None:
        seconds = TIDY_AT_END + TIDY_ROUND_TRIPS * (tunnel.latency or 0.0)
        self._tidy(tunnel, *self._sockets_there, seconds=min(seconds, TIDY_SECONDS))

    def _tidy(self, tunnel: Link, *paths: str, seconds: float = TIDY_SECONDS) -> None:
        names = [shlex.quote(path) for path in paths]
        command = "; ".join(f"test -S {name} && rm -f {name}" for name in names)
        try:
            tunnel.execute(command, b"", seconds)
        except ProblemError as error:
            logger.debug("%s: %s left on the server: %s", self._name, paths, error.problem)
        else:
            self._sockets_there.difference_update(paths)

    def _ask(self, live: Attempt, question: Question) -> Answer:
        self._report(Asked(live.attempt, question))
        answer = self._peers.prompter.ask(question, live.cancel)
        live.cancel.check()
        self._report(Answered(live.attempt, answer))
        if answer is None:
            raise Cancelled
        return answer

    def _refused(self, problem: Problem) -> None:
        logger.debug("%s: a connection was refused: %s", self._name, problem)
        self._on_refused()

    def _ask_again_where_due(self) -> None:
        """Ask again for the remote forwards that the server refused, `ASK_AGAIN_TIMES` at most."""
        live, forwarding = self._live, self._forwarding
        if live is None or live.tunnel is None or forwarding is None:
            return
        refused = tuple(live.refused.values())
        if not refused or live.asked_again >= ASK_AGAIN_TIMES or time.monotonic() < live.next_ask:
            return
        live.asked_again += 1
        for forward in refused:
            self._listen_remote(live, live.tunnel, forwarding, forward)

    def _drop(self, live: Attempt | None) -> None:
        if self._forwarding:
            self._forwarding.detach()
        if live and live.tunnel:
            live.tunnel.close()

    def _close(self, live: Attempt | None, attempt: int) -> None:
        """The tunnel ends before the forwarding, whose threads may be waiting for it: a server that
        hangs answers nobody."""
        forwarding, self._forwarding = self._forwarding, None
        with ExitStack() as stack:  # one that fails keeps none of the others from being done
            stack.callback(self._report, Closed(attempt))
            if forwarding:
                stack.callback(forwarding.close)
            if live and live.tunnel:
                stack.callback(live.tunnel.close)
                if self._sockets_there:
                    stack.callback(self._tidy_at_end, live.tunnel)
            if forwarding:
                stack.callback(forwarding.detach)
