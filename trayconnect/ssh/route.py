"""The whole way to a server: each jump host, then the server itself."""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import nullcontext
from dataclasses import dataclass, field

from trayconnect.config.model import Server
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import ProblemError
from trayconnect.core.progress import NO_PROGRESS, Progress
from trayconnect.core.questions import Answer, Ask, ProgressDisplay, Question
from trayconnect.ssh import connection_problems
from trayconnect.ssh.auth.login import Credentials, log_in, verify_identity
from trayconnect.ssh.blame import blaming
from trayconnect.ssh.config.ssh_config import SshConfig
from trayconnect.ssh.connect import JOIN_SECONDS, dispose, shake_hands, what_to_offer
from trayconnect.ssh.hostkeys.known_hosts import KnownHostsEntry
from trayconnect.ssh.hostkeys.known_hosts_command import printed_for
from trayconnect.ssh.hostkeys.known_hosts_store import KnownHosts
from trayconnect.ssh.hostkeys.update import HostKeyUpdate
from trayconnect.ssh.hostkeys.verification import verify
from trayconnect.ssh.proxy_command import ProxyCommand
from trayconnect.ssh.proxy_wait import ProxyWait
from trayconnect.ssh.target import LoginTarget, targets
from trayconnect.ssh.tcp_dial import dial
from trayconnect.ssh.transport.channels import SshChannel
from trayconnect.ssh.transport.offered_algorithms import Offer
from trayconnect.ssh.transport.ssh_transport import ChannelRefusedError, SshTransport

log = logging.getLogger(__name__)

_INTERNET = (socket.AF_INET, socket.AF_INET6)


@dataclass(slots=True)
class Route:
    """Logged-in transports, each through the one before; the last is the server's."""

    hops: list[tuple[LoginTarget, SshTransport]] = field(default_factory=list)
    updates: list[HostKeyUpdate] = field(default_factory=list)
    typed: bool = False
    """Whether a human typed something for it that a retry could not reuse."""
    banners: list[tuple[LoginTarget, str]] = field(default_factory=list)
    """What servers gave to be read at the login."""
    proxy: ProxyCommand | None = None
    """The process through which the first hop is reached, if it is by one."""

    @property
    def end(self) -> SshTransport:
        """The transport to the server itself."""
        return self.hops[-1][1]

    @property
    def target(self) -> LoginTarget:
        """The server itself."""
        return self.hops[-1][0]

    def loss(self) -> ProblemError:
        """Why it broke; waits a moment for the last words of a ProxyCommand."""
        proxy, (_, first) = self.proxy, self.hops[0]
        ended = proxy.ended() if proxy is not None and first.ended.is_set() else None
        return ended or connection_problems.lost(*self.broken())

    def broken(self) -> tuple[LoginTarget, str]:
        """Where it broke, and the technical reason: the first hop that has ended."""
        for target, transport in self.hops:
            if transport.ended.is_set() and transport.saved_exception is not None:
                return target, transport.reason()
        return self.hops[-1][0], self.end.reason()

    def abort(self) -> None:
        """Drop it without a word, the nearest hop first so that no farther one can block."""
        for _, transport in self.hops:
            transport.abort()
        if self.proxy is not None:
            self.proxy.terminate()

    def close(self) -> None:
        """Take leave of each server, the farthest first, then drop all and join the threads."""
        for _, transport in reversed(self.hops):
            transport.say_goodbye()
        self.abort()
        for update in self.updates:
            update.close(JOIN_SECONDS)
        for _, transport in self.hops:
            dispose(transport)
        if self.proxy is not None:
            self.proxy.close()


def open_route(
    server: Server,
    *,
    ssh_config: SshConfig,
    known_hosts: KnownHosts,
    means: Credentials,
    ask: Ask,
    cancel: CancelToken,
    tell: ProgressDisplay,
    steps: Progress = NO_PROGRESS,
) -> Route:
    """Connect and log in all the way. Raises `ProblemError` and `Cancelled`; then all is closed."""
    way = Route()
    try:
        with steps.step("read the SSH configuration") as found:
            hops = targets(server, lambda query: ssh_config.host(query, cancel))
            found += [target.account for target in hops]
        with steps.step("look at the keys"):
            for target in hops:
                verify_identity(target, server, means)
        for target in hops:
            _add_hop(way, target, server, known_hosts, means, ask, cancel, tell, steps)
    except BaseException:
        way.close()
        cancel.check()
        raise
    return way


def _add_hop(
    way: Route,
    target: LoginTarget,
    server: Server,
    store: KnownHosts,
    means: Credentials,
    ask: Ask,
    cancel: CancelToken,
    tell: ProgressDisplay,
    steps: Progress,
) -> None:
    for words in target.options.unsupported:
        log.warning("%s: %s", target.address, words)
    if target.options.batch_mode:
        ask = _nobody(target)
    store = store.under(target.options)
    entries = store.entries()
    # As with ssh, these choose what to ask for and trust nothing: the question was another one.
    offer = what_to_offer(target, (*entries, *_printed(target, cancel, steps)))
    stream = _reach(way, target, cancel, steps)
    try:
        transport = _shake_hands(way, stream, target, offer, cancel, tell, steps)
        way.hops.append((target, transport))
        update = HostKeyUpdate(transport, target, store)
        way.updates.append(update)
        with (
            cancel.releasing(way.abort),
            steps.step(f"check the host key of {target.address}") as found,
        ):
            assert transport.shown is not None
            address = _address(transport)
            entries = (*entries, *printed_for(target, transport.shown, address, cancel))
            certified = verify(target, transport.shown, entries, store, ask, address=address)
            found += [str(transport.shown.key), *(["by its certificate"] if certified else [])]
    except ProblemError as error:
        unproven = connection_problems.unproven(error.problem)
        if unproven == error.problem:
            raise
        raise ProblemError(unproven) from error
    with (
        cancel.releasing(way.abort),
        steps.step(f"log in to {target.account}") as found,
        blaming(way.hops[:-1], way.loss, cancel),
    ):
        welcome = log_in(transport, target, server, means, ask, cancel, tell)
        found.append(welcome.by)
    way.typed |= welcome.typed
    if welcome.banner:
        way.banners.append((target, welcome.banner))
    if target.options.update_host_keys and not certified:
        update.start()
    log.info("logged in to %s: %s", target.address, transport.agreement())


def _printed(
    target: LoginTarget, cancel: CancelToken, steps: Progress
) -> tuple[KnownHostsEntry, ...]:
    """What KnownHostsCommand says of the host before anything is asked of it."""
    if not target.options.known_hosts_command:
        return ()
    with steps.step("ask KnownHostsCommand of your ssh configuration"):
        return printed_for(target, None, "", cancel)


def _nobody(target: LoginTarget) -> Ask:
    def ask(question: Question) -> Answer:
        raise connection_problems.not_to_be_asked(target, question.title)

    return ask


def _address(transport: SshTransport) -> str:
    """The server's address where it was connected to directly; else ""."""
    sock = transport.sock
    if not isinstance(sock, socket.socket) or sock.family not in _INTERNET:
        return ""
    try:
        return str(sock.getpeername()[0])
    except OSError:
        return ""


def _reach(
    way: Route, target: LoginTarget, cancel: CancelToken, steps: Progress
) -> socket.socket | SshChannel:
    with steps.step(f"reach {target.address}"), blaming(way.hops, way.loss, cancel):
        return _stream(way, target, cancel)


def _shake_hands(
    way: Route,
    stream: socket.socket | SshChannel,
    target: LoginTarget,
    offer: Offer,
    cancel: CancelToken,
    tell: ProgressDisplay,
    steps: Progress,
) -> SshTransport:
    wait = ProxyWait(target, way.proxy, tell) if way.proxy is not None and not way.hops else None
    hear = threading.Event.wait if wait is None else wait.hear
    with (
        steps.step(f"agree on keys with {target.address}") as found,
        blaming(way.hops, way.loss, cancel),
        nullcontext() if wait is None else wait.explaining(),
    ):
        transport = shake_hands(
            stream,
            target,
            timeout=target.connect_timeout,
            cancel=cancel,
            offer=offer,
            hear=hear,
        )
        found.append(transport.agreement())
    way.typed |= wait is not None and wait.waited_for_human
    return transport


def _stream(way: Route, target: LoginTarget, cancel: CancelToken) -> socket.socket | SshChannel:
    timeout = target.connect_timeout
    if not way.hops:
        if target.options.proxy_command is None:
            return dial(target, timeout, cancel)
        way.proxy = ProxyCommand(target, target.options.proxy_command)
        return way.proxy.sock
    hop, transport = way.hops[-1]
    try:
        with cancel.releasing(way.abort):
            return transport.open("direct-tcpip", timeout, target.host, target.port, "127.0.0.1", 0)
    except ChannelRefusedError as error:
        raise connection_problems.unreachable_through(
            hop, target, error.code, str(error)
        ) from error
    except TimeoutError as error:
        raise connection_problems.unanswered_through(hop, target, str(error)) from error
    except ConnectionError as error:
        raise way.loss() from error
