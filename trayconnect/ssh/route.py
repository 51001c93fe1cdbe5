"""The whole route to a server: each jump host, then the server itself."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.closing import do_all
from trayconnect.core.errors import ProblemError, Recovery
from trayconnect.core.progress import NO_PROGRESS, Progress
from trayconnect.core.questions import Answer, Ask, ProgressDisplay, Question
from trayconnect.ssh import connection_problems
from trayconnect.ssh.auth import login_problems
from trayconnect.ssh.auth.credentials import Credentials
from trayconnect.ssh.auth.login import log_in, verify_identity
from trayconnect.ssh.connect import JOIN_SECONDS, dispose, shake_hands, what_to_offer
from trayconnect.ssh.hostkeys.known_hosts import KnownHostsEntry
from trayconnect.ssh.hostkeys.known_hosts_command import printed_for
from trayconnect.ssh.hostkeys.known_hosts_store import KnownHosts
from trayconnect.ssh.hostkeys.update import HostKeyUpdate
from trayconnect.ssh.hostkeys.verification import verify
from trayconnect.ssh.proxy_command import ProxyCommand, ProxyWait
from trayconnect.ssh.sessions_ahead import SessionsAhead
from trayconnect.ssh.target import LoginTarget
from trayconnect.ssh.tcp_dial import dial
from trayconnect.ssh.transport.heartbeat import CHECK_SECONDS, REQUEST
from trayconnect.ssh.transport.multiplexer import ChannelRefusedError
from trayconnect.ssh.transport.offered_algorithms import AlgorithmOffer
from trayconnect.ssh.transport.ssh_transport import SshTransport

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Route:
    """Authenticated transports, each through the previous one; the last is the server's."""

    hops: list[tuple[LoginTarget, SshTransport]] = field(default_factory=list)
    updates: list[HostKeyUpdate] = field(default_factory=list)
    typed: bool = False
    """Whether a human typed something for it that a retry could not reuse."""
    banners: list[tuple[LoginTarget, str]] = field(default_factory=list)
    """The servers' banners at the login."""
    sessions: SessionsAhead = field(default_factory=lambda: SessionsAhead(0))
    """On the server itself."""
    base: Route | None = None
    """The route to the server from which the first hop is seen; None: it is seen from here. Neither
    closed nor aborted with this one."""
    proxy: ProxyCommand | None = None
    """The process that leads to the first hop, if there is a ProxyCommand."""

    @property
    def end(self) -> SshTransport:
        """The transport to the server itself."""
        return self.hops[-1][1]

    @property
    def target(self) -> LoginTarget:
        """The server itself."""
        return self.hops[-1][0]

    def loss(self) -> ProblemError:
        """Why the route ended; waits a moment for the last messages of a ProxyCommand."""
        proxy, (_, first) = self.proxy, self.hops[0]
        ended = proxy.ended() if proxy is not None and first.ended.is_set() else None
        return ended or connection_problems.lost(*self.broken())

    def broken(self) -> tuple[LoginTarget, str]:
        """The first hop that has ended, and the technical reason."""
        for target, transport in self.hops:
            if transport.ended.is_set() and transport.saved_exception is not None:
                return target, transport.reason()
        return self.hops[-1][0], self.end.reason()

    def abort(self) -> None:
        """Close abruptly, the nearest hop first so that no farther one can block."""
        do_all(
            *(transport.abort for _, transport in self.hops),
            *([] if self.proxy is None else [self.proxy.terminate]),
        )

    def close(self) -> None:
        """Disconnect from each server, the farthest first, then close all and join the threads."""
        do_all(
            *(transport.send_disconnect for _, transport in reversed(self.hops)),
            self.abort,
            *(partial(update.close, JOIN_SECONDS) for update in self.updates),
            *(partial(dispose, transport) for _, transport in self.hops),
            *([] if self.proxy is None else [self.proxy.close]),
        )


def open_route(
    server: Server,
    *,
    targets: Sequence[LoginTarget],
    known_hosts: KnownHosts,
    credentials: Credentials,
    ask: Ask,
    cancel: CancelToken,
    display: ProgressDisplay,
    steps: Progress = NO_PROGRESS,
    sessions: int = 0,
    base: Route | None = None,
) -> Route:
    """Connect and log in at every hop; request so many `sessions` on the last. `base`: see
    `Route.base`. Raises `ProblemError` and `Cancelled`, and closes everything then."""
    route = Route(sessions=SessionsAhead(sessions), base=base)
    try:
        with steps.step("check the keys"):
            for target in targets:
                verify_identity(target, server, credentials)
        for target in targets:
            _add_hop(route, target, server, known_hosts, credentials, ask, cancel, display, steps)
    except BaseException:
        route.close()
        cancel.check()
        raise
    return route


def _add_hop(
    route: Route,
    target: LoginTarget,
    server: Server,
    store: KnownHosts,
    credentials: Credentials,
    ask: Ask,
    cancel: CancelToken,
    display: ProgressDisplay,
    steps: Progress,
) -> None:
    for note in target.options.unsupported:
        log.warning("%s: %s", target.address, note)
    if target.options.batch_mode:
        ask = _ask_nobody(target)
    store = store.under(target.options)
    entries = store.entries()
    # As with ssh, these lines only choose the algorithms to offer; they prove nothing, because they
    # answer another query.
    offer = what_to_offer(target, (*entries, *_printed(target, cancel, steps)))
    stream = _reach(route, target, cancel, steps)
    try:
        transport = _shake_hands(route, stream, target, offer, cancel, display, steps)
        route.hops.append((target, transport))
        update = HostKeyUpdate(transport, target, store)
        route.updates.append(update)
        with (
            cancel.releasing(route.abort),
            steps.step(f"check the host key of {target.address}") as found,
        ):
            assert transport.presented is not None
            is_behind = route.proxy is not None or route.base is not None or route.hops[:-1]
            address = "" if is_behind else _address(transport)
            entries = (*entries, *printed_for(target, transport.presented, address, cancel))
            certified = verify(target, transport.presented, entries, store, ask, address=address)
            found += [str(transport.presented.key), *(["by its certificate"] if certified else [])]
    except ProblemError as error:
        unproven = connection_problems.unproven(error.problem)
        if unproven == error.problem:
            raise
        raise ProblemError(unproven) from error
    with (
        cancel.releasing(route.abort),
        steps.step(f"log in to {target.account}") as found,
        blaming(route.hops[:-1], route.loss, cancel),
    ):
        sessions = SessionsAhead(0) if target.is_jump_host else route.sessions
        result = log_in(transport, target, server, credentials, ask, cancel, display, sessions)
        found.append(result.by)
    route.typed |= result.typed
    if result.banner:
        route.banners.append((target, result.banner))
    if target.options.update_host_keys and not certified:
        update.start()
    log.info("logged in to %s: %s", target.address, transport.agreement())


def _printed(
    target: LoginTarget, cancel: CancelToken, steps: Progress
) -> tuple[KnownHostsEntry, ...]:
    """The output of KnownHostsCommand before the key exchange."""
    if not target.options.known_hosts_command:
        return ()
    with steps.step("run KnownHostsCommand of your SSH configuration"):
        return printed_for(target, None, "", cancel)


def _ask_nobody(target: LoginTarget) -> Ask:
    def ask(question: Question) -> Answer:
        raise login_problems.not_to_be_asked(target, question.title)

    return ask


def _address(transport: SshTransport) -> str:
    """Of a server that was connected to directly; "" if it is gone."""
    try:
        return str(transport.sock.getpeername()[0])
    except OSError:
        return ""


def _reach(
    route: Route, target: LoginTarget, cancel: CancelToken, steps: Progress
) -> socket.socket:
    with steps.step(f"reach {target.address}"), blaming(route.hops, route.loss, cancel):
        return _stream(route, target, cancel)


def _shake_hands(
    route: Route,
    stream: socket.socket,
    target: LoginTarget,
    offer: AlgorithmOffer,
    cancel: CancelToken,
    display: ProgressDisplay,
    steps: Progress,
) -> SshTransport:
    wait = (
        ProxyWait(target, route.proxy, display)
        if route.proxy is not None and not route.hops
        else None
    )
    wait_greeting = threading.Event.wait if wait is None else wait.wait_greeting
    with (
        steps.step(f"exchange keys with {target.address}") as found,
        blaming(route.hops, route.loss, cancel),
        nullcontext() if wait is None else wait.explaining(),
    ):
        transport = shake_hands(
            stream,
            target,
            timeout=target.connect_timeout,
            cancel=cancel,
            offer=offer,
            wait_greeting=wait_greeting,
        )
        found.append(transport.agreement())
    route.typed |= wait is not None and wait.waited_for_human
    return transport


def _stream(route: Route, target: LoginTarget, cancel: CancelToken) -> socket.socket:
    timeout = target.connect_timeout
    before = route if route.hops or route.base is None else route.base
    if not before.hops:
        if target.options.proxy_command is None:
            return dial(target, timeout, cancel)
        route.proxy = ProxyCommand(target, target.options.proxy_command)
        return route.proxy.sock
    hop, transport = before.hops[-1]
    try:
        with cancel.releasing(route.abort):
            return transport.open_socket(target.host, target.port, timeout)
    except ChannelRefusedError as error:
        raise connection_problems.unreachable_through(
            hop, target, error.code, str(error)
        ) from error
    except TimeoutError as error:
        raise connection_problems.unanswered_through(hop, target, str(error)) from error
    except ConnectionError as error:
        raise before.loss() from error


Hops = Sequence[tuple[LoginTarget, SshTransport]]

_POLL_SECONDS = 0.05


@contextmanager
def blaming(hops: Hops, lost: Callable[[], ProblemError], cancel: CancelToken) -> Iterator[None]:
    """When an answer did not come through `hops`, blame the first hop that is silent or has ended.
    `lost` makes the problem of an ended hop."""
    try:
        yield
    except connection_problems.CutShortError as error:
        culprit = _culprit(hops, lost, cancel)
        if culprit is None:
            raise
        # A login that must not be repeated automatically keeps its problem.
        needs_user = error.problem.recovery is Recovery.USER_ACTION
        problem = (
            replace(culprit.problem, recovery=Recovery.USER_ACTION)
            if needs_user
            else culprit.problem
        )
        raise ProblemError(problem) from error


def _culprit(
    hops: Hops, lost: Callable[[], ProblemError], cancel: CancelToken
) -> ProblemError | None:
    """Ask each hop for a sign of life, all at once."""
    began = time.monotonic()
    answered = [threading.Event() for _ in hops]
    for (_, transport), event in zip(hops, answered, strict=True):
        transport.ask(REQUEST, lambda _, event=event: event.set())  # type: ignore[misc]
    for (target, transport), event in zip(hops, answered, strict=True):
        limit = min(CHECK_SECONDS, target.connect_timeout)
        while not event.wait(_POLL_SECONDS):
            if transport.ended.is_set():
                return lost()
            if cancel.is_set():
                return None
            if time.monotonic() - began > limit:
                return connection_problems.unresponsive(
                    target, time.monotonic() - transport.packetizer.last_received
                )
    return None
