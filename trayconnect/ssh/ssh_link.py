"""A live SSH link: streams, commands, keepalive, and one end."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence

from trayconnect.config.model import Keepalive
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.closing import do_all
from trayconnect.core.endpoints import Endpoint, TcpEndpoint
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.link import (
    ByteStream,
    Client,
    Completed,
    Hop,
    Incoming,
    LostError,
    OnAccepted,
    OnRefused,
    Owner,
    Traffic,
)
from trayconnect.core.threads import JobThread
from trayconnect.ssh import connection_problems
from trayconnect.ssh.auth import login_problems
from trayconnect.ssh.auth.data_types import string, uint32
from trayconnect.ssh.commands import RemoteCommands, reports_expired_password
from trayconnect.ssh.own_channels import OwnChannels
from trayconnect.ssh.remote_program import SshProgram
from trayconnect.ssh.route import Route
from trayconnect.ssh.transport.carried import CarriedChannel
from trayconnect.ssh.transport.channels import ChannelStream, tcp_fields
from trayconnect.ssh.transport.heartbeat import Heartbeat
from trayconnect.ssh.transport.multiplexer import ChannelRefusedError

OPEN_SECONDS = 10.0
_JOIN_SECONDS = 5.0


OpenHopOver = Callable[[Route, Hop, CancelToken, Callable[[Problem], None]], "SshLink"]
"""See `link.Link.hop`; the route is that of the link below."""


class SshLink:
    """`link.Link` over an authenticated route."""

    def __init__(
        self,
        route: Route,
        keepalive: Keepalive,
        on_lost: Callable[[Problem], None],
        reporting_accounts: set[str],
        one_session_accounts: set[str],
        open_hop: OpenHopOver,
    ) -> None:
        """For both accounts, see `RemoteCommands`."""
        self._open_hop = open_hop
        self._route = route
        self._target = route.target
        self._on_lost = on_lost
        self._lock = threading.Lock()
        self._over = False
        self._expired: bool | None = None
        """Whether the account's password has expired; None: not checked."""
        self._jobs = JobThread("refusal", self._target.server)
        self._commands = RemoteCommands(
            route.end, self._target, reporting_accounts, route.sessions, one_session_accounts
        )
        is_openssh = "OpenSSH" in route.end.remote_version
        self._own_channels = OwnChannels(
            self.open_channel,
            self.open_held,
            self._commands.ownership,
            route.end.packetizer.loop.run if is_openssh else None,
        )
        self._heartbeat = Heartbeat(
            route.end,
            keepalive,
            self._silent,
            before=[transport for _, transport in route.hops[:-1]],
        )

    def start(self) -> None:
        """Begin the keepalive, and report a loss from now on. Raises `ProblemError` if it is lost
        already."""
        self._route.end.on_end = self._ended
        self._route.end.multiplexer.on_silence = self.check
        if self._route.end.ended.is_set():
            with self._lock:
                already, self._over = self._over, True
            if not already:
                raise self._route.loss()
        self._heartbeat.start()

    @property
    def typed_login(self) -> bool:
        return self._route.typed

    @property
    def banner(self) -> str:
        """The banners of the route's servers, each below its server's address."""
        texts = [f"{target.address}:\n{text}" for target, text in self._route.banners]
        return "\n\n".join(texts)

    @property
    def latency(self) -> float | None:
        return self._heartbeat.latency

    def open_channel(self, target: Endpoint, origin: tuple[str, int]) -> ByteStream:
        kind, fields = _channel(target, origin)
        try:
            channel = self._route.end.open(kind, OPEN_SECONDS, fields)
        except (ChannelRefusedError, TimeoutError, ConnectionError) as error:
            if isinstance(error, TimeoutError):
                self.check()
            self._look_for_expiry(error)
            raise self._not_opened(target, error) from error
        return ChannelStream(channel)

    def carry(self, client: Client, target: Endpoint, on_refused: OnRefused) -> None:
        self.open_held(target, client.origin, lambda channel: channel.carry(client), on_refused)

    def carry_own(
        self,
        client: Client,
        target: Endpoint,
        *,
        named: bool,
        on_opened: Callable[[Owner], None],
        on_refused: OnRefused,
    ) -> None:
        self._own_channels.carry(
            client,
            target,
            named=named,
            on_opened=on_opened,
            on_refused=lambda error: on_refused(self._lost_or(error)),
        )

    def forget(self, target: Endpoint) -> None:
        self._own_channels.forget(target)

    def open_held(
        self,
        target: Endpoint,
        origin: tuple[str, int],
        on_opened: Callable[[CarriedChannel], None],
        on_refused: OnRefused,
    ) -> None:
        """Open a channel that carries no client yet. From any thread; never waits. Both are called
        on the transport's thread, or this one: they must be quick."""

        def refused(error: Exception) -> None:
            def explain() -> None:
                self._look_for_expiry(error)
                on_refused(self._not_opened(target, error))

            if self._may_be_expired(error):
                with contextlib.suppress(RuntimeError):  # no thread is to be had
                    self._jobs.put(explain)
                    return
            on_refused(self._not_opened(target, error))

        kind, fields = _channel(target, origin)
        self._route.end.multiplexer.open(kind, fields, on_opened, refused, OPEN_SECONDS)

    def _not_opened(self, target: Endpoint, error: Exception) -> ProblemError:
        if isinstance(error, ChannelRefusedError):
            return self._not_forwarded(target, error)
        if isinstance(error, TimeoutError):
            name = f"a channel to {target}"
            return connection_problems.channel_slow(self._target, name, OPEN_SECONDS)
        return LostError(connection_problems.lost(self._target, str(error)).problem)

    def accept(
        self, listening: Sequence[tuple[int, socket.socket]], on_accepted: OnAccepted
    ) -> None:
        self._route.end.multiplexer.accept(listening, on_accepted)

    def release(self) -> None:
        self._route.end.multiplexer.release()

    @property
    def traffic(self) -> Traffic:
        return self._route.end.multiplexer.traffic

    def open_own_channel(
        self, target: Endpoint, origin: tuple[str, int], *, named: bool
    ) -> tuple[ByteStream, Owner]:
        try:
            return self._own_channels.open(target, origin, named=named)
        except ProblemError as error:
            raise self._lost_or(error) from error

    def _lost_or(self, error: ProblemError) -> ProblemError:
        """A server that is gone answers nothing."""
        is_lost = isinstance(error, LostError) or not self._route.end.ended.is_set()
        return error if is_lost else LostError(error.problem)

    def owner(self, target: Endpoint) -> Owner:
        return self._own_channels.owner(target)

    def listen(
        self,
        where: Endpoint,
        on_incoming: Callable[[Incoming], None],
        on_answer: Callable[[int | Problem], None],
    ) -> None:
        def answered(port: int | None) -> None:
            on_answer(
                connection_problems.not_listening(self._target, where) if port is None else port
            )

        self._route.end.listening.listen(where, on_incoming, answered)

    def execute(self, command: str, stdin: bytes, timeout: float) -> Completed:
        completed = self._commands.execute(command, stdin, timeout)
        if reports_expired_password(completed):
            raise login_problems.password_expired(self._target)
        return completed

    def start_program(self, command: str, timeout: float) -> SshProgram:
        return self._commands.start_program(command, timeout)

    def hop(self, node: Hop, *, cancel: CancelToken, on_lost: Callable[[Problem], None]) -> SshLink:
        return self._open_hop(self._route, node, cancel, on_lost)

    def check(self) -> None:
        self._heartbeat.check()

    def close(self) -> None:
        with self._lock:
            self._over = True
        do_all(
            self._own_channels.close,
            self._commands.close,
            lambda: self._heartbeat.stop(_JOIN_SECONDS),
            self._route.close,
            lambda: self._commands.ownership.join(_JOIN_SECONDS),
            lambda: self._jobs.join(_JOIN_SECONDS),
        )

    def _may_be_expired(self, error: Exception) -> bool:
        """Whether a command has to find out whether the password has expired."""
        return (
            isinstance(error, ChannelRefusedError)
            and error.code == connection_problems.OPEN_ADMINISTRATIVELY_PROHIBITED
            and self._expired is None
        )

    def _look_for_expiry(self, error: Exception) -> None:
        """Takes a round trip, or seconds; not on the transport's thread."""
        if self._may_be_expired(error):
            self._expired = self._commands.has_expired_password()

    def _not_forwarded(self, target: Endpoint, error: ChannelRefusedError) -> ProblemError:
        if error.code == connection_problems.OPEN_ADMINISTRATIVELY_PROHIBITED and self._expired:
            return login_problems.password_expired(self._target)
        return connection_problems.not_forwarded(self._target, target, error.code, str(error))

    # --- its end ----------------------------------------------------------------------------------

    def _ended(self) -> None:
        """Called on the transport's thread."""
        with self._lock:
            already, self._over = self._over, True
        if not already:
            self._on_lost(self._route.loss().problem)

    def _silent(self, seconds: float) -> None:
        """Called by the heartbeat."""
        with self._lock:
            already, self._over = self._over, True
        silent = self._heartbeat.silent()
        target = next(target for target, transport in self._route.hops if transport is silent)
        self._route.abort()
        if not already:
            self._on_lost(connection_problems.unresponsive(target, seconds).problem)


def _channel(target: Endpoint, origin: tuple[str, int]) -> tuple[str, bytes]:
    """Kind and fields of a channel to `target`: RFC 4254 section 7.2, and OpenSSH's PROTOCOL,
    section 2.4."""
    if isinstance(target, TcpEndpoint):
        return "direct-tcpip", tcp_fields(target.host, target.port, origin)
    return "direct-streamlocal@openssh.com", string(target.path.encode()) + string(b"") + uint32(0)
