"""The commands of one link: those that run to their end, and the long-running shell that reports
the owners of listeners.

Some servers run one command at a time (MaxSessions 1). There the shell is ended for another
command, and the two alternate."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TypeVar

from trayconnect.core.errors import ProblemError
from trayconnect.core.link import Completed
from trayconnect.ssh import connection_problems
from trayconnect.ssh.connection_problems import NoCommandsError
from trayconnect.ssh.ownership import Ownership
from trayconnect.ssh.remote_program import SshProgram
from trayconnect.ssh.sessions_ahead import SessionsAhead
from trayconnect.ssh.target import LoginTarget
from trayconnect.ssh.transport.channels import AHEAD, SshChannel
from trayconnect.ssh.transport.multiplexer import ChannelRefusedError
from trayconnect.ssh.transport.ssh_transport import SshTransport

MAX_OUTPUT = 1 << 20
_READ = 32 << 10
_JOIN_SECONDS = 5.0
_PAUSE = 0.5
_QUIET_READS = 3
"""After the command's end, the output is complete when it was silent for so many polls."""


def execute(
    transport: SshTransport,
    target: LoginTarget,
    command: str,
    stdin: bytes,
    timeout: float,
    running: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    ahead: Callable[[float], SshChannel | None] = lambda _: None,
) -> Completed:
    """Run `command` through the account's shell, feed it `stdin`, and wait for its end; `running`
    is entered while the command runs on the server.

    The last 1 MiB of each output is kept. The status is -1 if the server gives none, as for a
    command that a signal ended. If another process keeps an output open after the command's end,
    such as one that a start-up file left in the background, the output is not awaited. Raises
    `ProblemError`, and `NotEndedError` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    try:
        channel = start(transport, target, command, stdin[:AHEAD], timeout, ahead)
        try:
            with running():
                return _run(channel, target, stdin[AHEAD:], deadline, timeout)
        finally:
            with contextlib.suppress(OSError, EOFError):
                channel.close()
    except TimeoutError as error:
        raise connection_problems.command_slow(target, timeout) from error


def start(
    transport: SshTransport,
    target: LoginTarget,
    command: str,
    stdin: bytes,
    timeout: float,
    ahead: Callable[[float], SshChannel | None] = lambda _: None,
) -> SshChannel:
    """Start `command` through the account's shell; the channel carries its output and its input,
    which begins with `stdin`, at most `AHEAD` bytes. `ahead`: see `SessionsAhead.take`. Raises
    `ProblemError`, and TimeoutError once a channel is open."""
    deadline = time.monotonic() + timeout
    try:
        channel = ahead(timeout) or transport.open("session", deadline - time.monotonic())
    except TimeoutError as error:
        raise connection_problems.channel_slow(target, "a session", timeout) from error
    except ChannelRefusedError as error:
        raise connection_problems.command_refused(target) from error
    except ConnectionError as error:
        raise connection_problems.lost(target, str(error)) from error
    try:
        if channel.start_command(command, stdin, deadline):
            return channel
        if transport.ended.is_set():
            raise connection_problems.lost(target, transport.reason())
        raise connection_problems.command_refused(target)
    except BaseException:
        with contextlib.suppress(OSError, EOFError):
            channel.close()
        raise


def _run(
    channel: SshChannel, target: LoginTarget, stdin: bytes, deadline: float, timeout: float
) -> Completed:
    stderr = bytearray()
    helpers = [
        threading.Thread(target=_feed, args=(channel, stdin), name="tc-exec stdin", daemon=True),
        threading.Thread(
            target=_collect, args=(channel.recv_stderr, stderr), name="tc-exec stderr", daemon=True
        ),
    ]
    for helper in helpers:
        helper.start()
    stdout = bytearray()
    try:
        if not _ended(channel, stdout, deadline):
            so_far = Completed(-1, _last(stdout), _last(stderr))
            raise connection_problems.command_slow(target, timeout, so_far)
        if not channel.closed and not channel.eof_received:
            return Completed(channel.exit_status, _last(stdout), _last(stderr))
        helpers[1].join(max(0.0, deadline - time.monotonic()))
        if channel.cut_off:
            raise connection_problems.lost(target, channel.outlet.reason())
        return Completed(channel.exit_status, _last(stdout), _last(stderr))
    finally:
        # Wakes the helper threads.
        with contextlib.suppress(OSError, EOFError):
            channel.close()
        for helper in helpers:
            helper.join(_JOIN_SECONDS)


def _ended(channel: SshChannel, stdout: bytearray, deadline: float) -> bool:
    """Read to the end of the output and of the command; false if that did not come until
    `deadline`."""
    quiet = 0
    while quiet <= _QUIET_READS or not channel.status_event.is_set():
        now = time.monotonic()
        if now >= deadline:
            return False
        try:
            data = channel.recv_within(_READ, min(deadline, now + _PAUSE))
        except TimeoutError:
            quiet = quiet + 1 if channel.status_event.is_set() else 0
            continue
        if not data:
            return channel.status_event.wait(max(0.0, deadline - time.monotonic()))
        _keep(stdout, data)
        quiet = 0
    return True


def _feed(channel: SshChannel, stdin: bytes) -> None:
    # A command may end without reading all of its input.
    with contextlib.suppress(OSError, EOFError):
        channel.send_all(stdin)
        channel.shutdown_write()


def _collect(receive: Callable[[int], bytes], kept: bytearray) -> None:
    with contextlib.suppress(OSError, EOFError):
        while data := receive(_READ):
            _keep(kept, data)


def _keep(kept: bytearray, data: bytes) -> None:
    kept += data
    if len(kept) > 2 * MAX_OUTPUT:
        del kept[:-MAX_OUTPUT]


def _last(kept: bytearray) -> bytes:
    return bytes(kept[-MAX_OUTPUT:])


_NOTICED_SECONDS = 2.0
"""Seconds that the server needs to notice the end of the other command."""
_EVERY = 0.05

T = TypeVar("T")


class RemoteCommands:
    """From any thread."""

    def __init__(
        self,
        transport: SshTransport,
        target: LoginTarget,
        reporting_accounts: set[str],
        sessions: SessionsAhead,
    ) -> None:
        self._sessions = sessions
        self._transport = transport
        self._target = target
        self._lock = threading.Lock()
        self._trying = 0
        """Commands that are being started or that run."""
        self._running = 0
        """Commands that have started."""
        self._ended = -math.inf
        """The end of the last one, on the monotonic clock."""
        self._shell: SshChannel | None = None
        self.ownership = Ownership(
            target.server,
            self._start_shell,
            target.account,
            reporting_accounts,
            is_openssh="OpenSSH" in transport.remote_version,
        )
        if sessions.are_requested:
            self.ownership.prepare()

    def execute(self, command: str, stdin: bytes, timeout: float) -> Completed:
        """See `link.Link.execute`."""

        return self._when_free(
            lambda: execute(
                self._transport,
                self._target,
                command,
                stdin,
                timeout,
                self._as_running,
                self._sessions.take,
            ),
            self._end_shell,
            timeout,
        )

    def start_program(self, command: str, timeout: float) -> SshProgram:
        """See `link.Link.start_program`."""

        def action() -> SshProgram:
            try:
                channel = start(self._transport, self._target, command, b"", timeout)
            except TimeoutError as error:
                raise connection_problems.command_slow(self._target, timeout) from error
            try:
                return SshProgram(channel, self._target.server)
            except BaseException:
                channel.close()
                raise

        return self._when_free(action, self._end_shell, timeout)

    def close(self) -> None:
        """Never raises; may be called twice."""
        self.ownership.close()

    def _start_shell(self, command: str, stdin: bytes, timeout: float) -> SshChannel:
        def action() -> SshChannel:
            ahead = partial(self._sessions.take, last=True)
            self._shell = start(self._transport, self._target, command, stdin, timeout, ahead)
            return self._shell

        return self._when_free(action, lambda: self._running > 0, timeout)

    def _end_shell(self) -> bool:
        """Whether the shell ran, or another command runs."""
        shell = self._shell
        if shell is None or shell.closed:
            return self._running > 0
        self.ownership.rest()
        shell.close()  # it may just have been started
        return True

    def _when_free(self, action: Callable[[], T], make_room: Callable[[], bool], limit: float) -> T:
        """Run `action`. If the server refuses because another command runs, retry after the end of
        that. `make_room` returns whether one runs."""
        begin = time.monotonic()
        while True:
            try:
                with self._as_tried():
                    done = action()
                    self._ended = time.monotonic()
            except NoCommandsError:
                now = time.monotonic()
                if make_room():
                    self._ended = now
                # Another command may be starting: wait until that shows.
                starting_since = begin if self._trying else -math.inf
                if now > min(max(self._ended, starting_since) + _NOTICED_SECONDS, begin + limit):
                    raise
            else:
                return done
            if self._transport.ended.wait(_EVERY):
                raise connection_problems.lost(self._target, self._transport.reason())

    @contextmanager
    def _as_tried(self) -> Iterator[None]:
        with self._lock:
            self._trying += 1
        try:
            yield
        finally:
            with self._lock:
                self._trying -= 1

    @contextmanager
    def _as_running(self) -> Iterator[None]:
        with self._lock:
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1


_EXPIRED = b"Password change required"
_EXPIRY_SECONDS = 5.0


def reports_expired_password(completed: Completed) -> bool:
    """Whether a command was refused because the password has expired."""
    return completed.status != 0 and _EXPIRED in completed.stderr


def has_expired_password(transport: SshTransport, target: LoginTarget) -> bool:
    """Whether the password of the account has expired; runs a command to find out.

    sshd may accept such a login. It then forwards nothing, and runs nothing but the change of the
    password, for which it wants a terminal (OpenSSH's auth-pam.c and session.c)."""
    try:
        return reports_expired_password(execute(transport, target, "exit 0", b"", _EXPIRY_SECONDS))
    except ProblemError:
        return False
