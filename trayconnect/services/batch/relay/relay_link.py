"""A link to a compute node over the streams of a relay that runs there."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError

from trayconnect.config.model import Keepalive
from trayconnect.core import sanitize
from trayconnect.core.abandonable import abandonable
from trayconnect.core.cancellation import CancelToken
from trayconnect.core.endpoints import Endpoint, TcpEndpoint
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.core.link import (
    ByteStream,
    Client,
    Completed,
    Hop,
    Incoming,
    Link,
    LostError,
    NotEndedError,
    NotOpenedError,
    NotOursError,
    OnAccepted,
    OnRefused,
    Owner,
    Refusal,
    RemoteProgram,
    Traffic,
)
from trayconnect.services.batch.relay import frames, problems, program
from trayconnect.services.batch.relay.channel import Channel
from trayconnect.services.batch.relay.local_stream import MAX_OUTPUT, LocalProgram, LocalStream
from trayconnect.services.batch.relay.multiplexer import OPEN_SECONDS, Multiplexer

JOIN_SECONDS = 5.0
_SLACK = 5.0
_SAID_SECONDS = 0.5
_EVERY = 0.02

_ANYBODY, _NOT_OTHERS, _OURS_ONLY = range(3)
"""Whose listener is accepted; see `far.Connection`."""


def open_relay(
    stream: ByteStream,
    first: bytes,
    node: str,
    *,
    keepalive: Keepalive,
    seconds: float,
    cancel: CancelToken,
    on_lost: Callable[[Problem], None],
    heard: bytes = b"",
) -> RelayLink:
    """The link over the stream to a relay that reads `first` before its frames; take ownership of
    the stream, of which `heard` was read already. Blocks until the relay greets, at most so many
    seconds. Raises `ProblemError`, where `on_lost` may have been called too, and `Cancelled`."""
    try:
        mux = Multiplexer(stream, node, keepalive, on_lost, heard)
    except OSError:
        stream.close()
        raise
    link = RelayLink(mux)
    try:
        mux.start(first)
        with cancel.releasing(mux.greeted.set):
            is_greeted = mux.greeted.wait(seconds)
        if mux.has_no_python:
            raise problems.no_python(node)
        if mux.reason is not None:
            raise problems.not_started(node, _said(stream, cancel) or mux.reason.problem.detail)
        if not is_greeted:
            raise problems.slow_start(node, seconds, _said(stream, cancel))
    except BaseException:
        link.close()
        raise
    return link


def start_relay(
    login: Link,
    line: str,
    node: str,
    *,
    keepalive: Keepalive,
    seconds: float,
    cancel: CancelToken,
    on_lost: Callable[[Problem], None],
) -> RelayLink:
    """The same for a command line of the login node that starts the relay on the node."""
    deadline = time.monotonic() + seconds

    def start() -> RemoteProgram:
        started = login.start_program(line, seconds)
        cancel.add(started.close)  # also if nobody waits for it any more
        return started

    stream = abandonable(start, f"tc-relay start {node}", cancel)
    cancel.remove(stream.close)
    return open_relay(
        stream,
        program.stdin(),
        node,
        keepalive=keepalive,
        seconds=max(0.0, deadline - time.monotonic()),
        cancel=cancel,
        on_lost=on_lost,
    )


def _said(stream: ByteStream, cancel: CancelToken) -> str:
    """The last lines of its standard error, which may come a moment later than its end. Those of
    ssh end with who closed the connection; the reason stands before."""
    deadline = time.monotonic() + _SAID_SECONDS
    while True:
        lines = [line for line in getattr(stream, "said", b"").splitlines() if line.strip()]
        if lines or time.monotonic() > deadline or cancel.wait(_EVERY):
            return "; ".join(map(sanitize.line, lines[-2:]))


class RelayLink:
    """`link.Link`."""

    def __init__(self, mux: Multiplexer) -> None:
        self._mux = mux

    @property
    def typed_login(self) -> bool:
        return False

    @property
    def banner(self) -> str:
        return ""

    @property
    def latency(self) -> float | None:
        return self._mux.latency

    @property
    def traffic(self) -> Traffic:
        return self._mux.traffic

    # --- carrying ---------------------------------------------------------------------------------

    def carry(self, client: Client, target: Endpoint, on_refused: OnRefused) -> None:
        self._open(client, target, _ANYBODY, lambda _: None, on_refused)

    def carry_own(
        self,
        client: Client,
        target: Endpoint,
        *,
        named: bool,
        on_opened: Callable[[Owner], None],
        on_refused: OnRefused,
    ) -> None:
        whose = _NOT_OTHERS if named else _OURS_ONLY
        self._open(client, target, whose, on_opened, on_refused)

    def forget(self, target: Endpoint) -> None:
        """No channels are opened ahead."""

    def accept(
        self, listening: Sequence[tuple[int, socket.socket]], on_accepted: OnAccepted
    ) -> None:
        self._mux.listening.accept(listening, on_accepted)

    def release(self) -> None:
        self._mux.listening.release()

    def _open(
        self,
        client: Client,
        target: Endpoint,
        whose: int,
        on_opened: Callable[[Owner], None],
        on_refused: OnRefused,
        on_made: Callable[[Channel], None] = lambda _: None,
    ) -> None:
        node = self._mux.node
        self._mux.open(
            bytes((whose,)) + _text(target),
            frames.OPEN,
            client,
            on_opened,
            on_refused,
            lambda payload: problems.refused(node, target, payload),
            problems.unanswered(node, target, OPEN_SECONDS),
            on_made,
        )

    # --- blocking calls ---------------------------------------------------------------------------

    def open_channel(self, target: Endpoint, origin: tuple[str, int]) -> ByteStream:
        return self._open_stream(target, origin, _ANYBODY)[0]

    def open_own_channel(
        self, target: Endpoint, origin: tuple[str, int], *, named: bool
    ) -> tuple[ByteStream, Owner]:
        return self._open_stream(target, origin, _NOT_OTHERS if named else _OURS_ONLY)

    def _open_stream(
        self, target: Endpoint, origin: tuple[str, int], whose: int
    ) -> tuple[ByteStream, Owner]:
        pair = _Pair(self._mux)
        client = Client(pair.carried, origin)
        self._open(client, target, whose, pair.opened, pair.refused, pair.made)
        late = problems.unanswered(self._mux.node, target, OPEN_SECONDS)
        channel, owner = pair.wait(OPEN_SECONDS + _SLACK, late)
        return LocalStream(pair.ours, self._mux, channel), owner

    def owner(self, target: Endpoint) -> Owner:
        # The relay connects, and looks whose process has the other end.
        try:
            stream, owner = self._open_stream(target, ("", 0), _OURS_ONLY)
        except NotOursError as error:
            return error.owner
        except NotOpenedError as error:
            return Owner.NOBODY if error.refusal is Refusal.REFUSED else Owner.UNKNOWN
        stream.close()
        return owner

    def listen(
        self,
        where: Endpoint,
        on_incoming: Callable[[Incoming], None],  # noqa: ARG002 - nothing comes in
        on_answer: Callable[[int | Problem], None],
    ) -> None:
        on_answer(problems.no_listening(self._mux.node, where))

    def execute(self, command: str, stdin: bytes, timeout: float) -> Completed:
        deadline = time.monotonic() + timeout
        started = self._start(command, timeout, MAX_OUTPUT)
        try:
            completed, has_ended = started.run(stdin, max(0.0, deadline - time.monotonic()))
        except OSError as error:
            raise self._lost() from error
        finally:
            started.close()
        if not has_ended:
            raise NotEndedError(problems.command_slow(self._mux.node, timeout), completed)
        return completed

    def start_program(self, command: str, timeout: float) -> LocalProgram:
        return self._start(command, timeout)

    def _start(self, command: str, timeout: float, most_stderr: int = 0) -> LocalProgram:
        node = self._mux.node
        late = ProblemError(problems.command_slow(node, timeout))
        pair = _Pair(self._mux, most_stderr)
        self._mux.open(
            command.encode("utf-8", "surrogateescape"),
            frames.RUN,
            Client(pair.carried, ("", 0)),
            pair.opened,
            pair.refused,
            lambda payload: problems.refused(node, None, payload),
            late,
            pair.made,
        )
        channel, _ = pair.wait(timeout, late)
        return LocalProgram(pair.ours, self._mux, channel)

    def _lost(self) -> LostError:
        return self._mux.reason or problems.lost(self._mux.node, "the connection was cut off")

    # --- the link itself --------------------------------------------------------------------------

    def hop(
        self,
        node: Hop,  # noqa: ARG002 - a relay is no login
        *,
        cancel: CancelToken,  # noqa: ARG002
        on_lost: Callable[[Problem], None],  # noqa: ARG002
    ) -> Link:
        raise problems.no_hop(self._mux.node)

    def check(self) -> None:
        self._mux.check()

    def close(self) -> None:
        self._mux.close(JOIN_SECONDS)


class _Pair:
    """Two sockets for a blocking call: the link carries one of them."""

    def __init__(self, mux: Multiplexer, most_stderr: int = 0) -> None:
        self._mux = mux
        self._most_stderr = most_stderr
        self.ours, self.carried = socket.socketpair()
        self.carried.setblocking(False)
        self._channel: Channel | None = None
        self._opened: Future[Owner] = Future()

    def made(self, channel: Channel) -> None:
        self._channel = channel
        channel.most_stderr = self._most_stderr or channel.most_stderr

    def opened(self, owner: Owner) -> None:
        self._opened.set_result(owner)

    def refused(self, error: ProblemError) -> None:
        self._opened.set_exception(error)

    def wait(self, seconds: float, late: ProblemError) -> tuple[Channel, Owner]:
        """Raises `ProblemError`, and closes both sockets then."""
        try:
            try:
                owner = self._opened.result(seconds)
            except FutureTimeoutError:
                channel = self._channel
                if channel is not None:
                    self._mux.loop.run(lambda: channel.abandon(late))
                with contextlib.suppress(FutureTimeoutError):
                    self._opened.result(_SLACK)
                raise late from None
            assert self._channel is not None
        except BaseException:
            self.ours.close()
            self.carried.close()
            raise
        return self._channel, owner


def _text(target: Endpoint) -> bytes:
    if isinstance(target, TcpEndpoint):
        return frames.target_text(target.host, target.port)
    return frames.target_text("", 0, target.path)
