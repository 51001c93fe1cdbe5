"""The commands of one link: those that run to their end, and the long-running shell that reports
the owners of listeners.

Some servers have one session at a time (MaxSessions 1), and log each request for another one. There
the shell is ended for another command, and the two alternate."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable
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
from trayconnect.ssh.transport.heartbeat import REQUEST
from trayconnect.ssh.transport.multiplexer import ChannelRefusedError
from trayconnect.ssh.transport.ssh_transport import SshTransport

MAX_OUTPUT = 1 << 20
_READ = 32 << 10
_JOIN_SECONDS = 5.0
_PAUSE = 0.5
_QUIET_READS = 3
"""After the command's end, the output is complete when it was silent for so many polls."""


OpenSession = Callable[[float], SshChannel]
"""Opens a session within so many seconds. Raises as `SshTransport.open`."""


def execute(
    transport: SshTransport,
    target: LoginTarget,
    command: str,
    stdin: bytes,
    timeout: float,
    open_session: OpenSession,
) -> Completed:
    """Run `command` through the account's shell, feed it `stdin`, and wait for its end.

    The last 1 MiB of each output is kept. The status is -1 if the server gives none, as for a
    command that a signal ended. If another process keeps an output open after the command's end,
    such as one that a start-up file left in the background, the output is not awaited. Raises
    `ProblemError`, and `NotEndedError` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    try:
        channel = start(transport, target, command, stdin[:AHEAD], timeout, open_session)
        try:
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
    open_session: OpenSession,
) -> SshChannel:
    """Start `command` through the account's shell; the channel carries its output and its input,
    which begins with `stdin`, at most `AHEAD` bytes. Raises `ProblemError`, and TimeoutError once a
    channel is open."""
    deadline = time.monotonic() + timeout
    try:
        channel = open_session(timeout)
    except TimeoutError as error:
        raise connection_problems.channel_slow(target, "a session", timeout) from error
    except ChannelRefusedError as error:
        raise connection_problems.command_refused(target) from error
    except ConnectionError as error:
        raise connection_problems.lost(target, str(error)) from error
    try:
        if channel.start_command(command, stdin, deadline):
            return channel
        if channel.cut_off or transport.ended.is_set():
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
        threading.Thread(
            target=_feed, args=(channel, stdin, deadline), name="tc-exec stdin", daemon=True
        ),
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


def _feed(channel: SshChannel, stdin: bytes, deadline: float) -> None:
    # A command may end without reading all of its input.
    with contextlib.suppress(OSError, EOFError):
        channel.send_all(stdin, deadline)
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
"""Seconds that the server needs to notice the end of the other session."""
_EVERY = 0.05
_REFUSED_SECONDS = 60.0
"""Seconds until the next request for a session, after the refusal of a first one."""

T = TypeVar("T")


class RemoteCommands:
    """From any thread."""

    def __init__(
        self,
        transport: SshTransport,
        target: LoginTarget,
        reporting_accounts: set[str],
        sessions: SessionsAhead,
        one_session_accounts: set[str],
    ) -> None:
        """`one_session_accounts`: those that may have one session at a time, as a link found out;
        for `reporting_accounts`, see `Ownership`."""
        self._sessions = sessions
        self._transport = transport
        self._target = target
        self._one_session_accounts = one_session_accounts
        self._lock = threading.Lock()
        self._starting_or_running = 0
        """Commands that are being started or that run, and shells that are being started."""
        self._open: list[SshChannel] = []
        """Sessions that the server has not closed yet."""
        self._refused_until = -math.inf
        """On the monotonic clock: the server has no session at all."""
        self._only = threading.Lock()
        """Where there is one session at a time: held by a command, and at the shell's start."""
        self._shell: SshChannel | None = None
        self.ownership = Ownership(
            target.server,
            self._start_shell,
            target.account,
            reporting_accounts,
            run=transport.packetizer.loop.run,
            round_trip=lambda: transport.multiplexer.budget.round_trip,
            is_openssh="OpenSSH" in transport.remote_version,
        )
        if sessions.are_requested and not self._has_one_session:
            self.ownership.prepare()

    def execute(self, command: str, stdin: bytes, timeout: float) -> Completed:
        """See `link.Link.execute`."""

        def action() -> Completed:
            return execute(
                self._transport, self._target, command, stdin, timeout, self._open_session
            )

        return self._in_turn(action, timeout, ends_shell=True)

    def has_expired_password(self) -> bool:
        """Whether the password of the account has expired; runs a command to find out.

        sshd may accept such a login. It then forwards nothing, and runs nothing but the change of
        the password, for which it wants a terminal (OpenSSH's auth-pam.c and session.c)."""
        try:
            return reports_expired_password(self.execute("exit 0", b"", _EXPIRY_SECONDS))
        except ProblemError:
            return False

    def start_program(self, command: str, timeout: float) -> SshProgram:
        """See `link.Link.start_program`."""

        def action() -> SshProgram:
            try:
                channel = start(
                    self._transport, self._target, command, b"", timeout, self._open_session
                )
            except TimeoutError as error:
                raise connection_problems.command_slow(self._target, timeout) from error
            try:
                return SshProgram(channel, self._target.server)
            except BaseException:
                channel.close()
                raise

        return self._in_turn(action, timeout, ends_shell=True)

    def close(self) -> None:
        """Never raises; may be called twice."""
        self.ownership.close()

    def _start_shell(self, command: str, stdin: bytes, timeout: float) -> SshChannel:
        def action() -> SshChannel:
            open_session = partial(self._open_session, last=True)
            self._shell = start(
                self._transport, self._target, command, stdin, timeout, open_session
            )
            return self._shell

        return self._in_turn(action, timeout, ends_shell=False)

    def _open_session(self, timeout: float, *, last: bool = False) -> SshChannel:
        """`last`: see `SessionsAhead.take`."""
        deadline = time.monotonic() + timeout
        if time.monotonic() < self._refused_until and not self._transport.ended.is_set():
            raise connection_problems.command_refused(self._target)
        channel = self._sessions.take(timeout, last=last)
        if channel is not None and self._sessions.has_refused:
            self._one_session_accounts.add(self._target.account)
        if channel is None:
            channel = self._transport.open("session", deadline - time.monotonic())
        with self._lock:
            self._open = [each for each in self._open if not each.far_closed.is_set()]
            self._open.append(channel)
        return channel

    # --- one session at a time --------------------------------------------------------------------

    @property
    def _has_one_session(self) -> bool:
        return self._target.account in self._one_session_accounts

    def _in_turn(self, action: Callable[[], T], timeout: float, *, ends_shell: bool) -> T:
        """Run `action`, which opens a session: where there is one at a time, after the end of the
        others."""
        deadline = time.monotonic() + timeout
        if not self._has_one_session:
            try:
                return self._counted(action)
            except NoCommandsError:
                if not self._starting_or_running and not self._still_open(0):
                    self._refused_until = time.monotonic() + _REFUSED_SECONDS
                    raise
                self._one_session_accounts.add(self._target.account)
        if not self._only.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise connection_problems.command_refused(self._target)
        try:
            return self._alone(action, deadline, ends_shell=ends_shell)
        finally:
            self._only.release()

    def _alone(self, action: Callable[[], T], deadline: float, *, ends_shell: bool) -> T:
        self._make_room(deadline, ends_shell=ends_shell)
        until = min(time.monotonic() + _NOTICED_SECONDS, deadline)
        pause = _EVERY
        while True:
            try:
                return self._counted(action)
            except NoCommandsError:
                if not self._open:
                    self._refused_until = time.monotonic() + _REFUSED_SECONDS
                    raise
                pause *= 2  # the server logs each request
                if time.monotonic() + pause > until:
                    raise
            self._pause(pause)

    def _make_room(self, deadline: float, *, ends_shell: bool) -> None:
        """Wait for the end of the sessions; the shell is ended for a command. Raises
        `ProblemError`."""
        while self._starting_or_running and time.monotonic() < deadline:
            self._pause(_EVERY)
        shell = self._shell
        if ends_shell and shell is not None and not shell.closed:
            self.ownership.rest()
            shell.close()
        if self._still_open(min(_NOTICED_SECONDS, deadline - time.monotonic())):
            raise connection_problems.command_refused(self._target)
        # OpenSSH frees a session after it has read all that came with our CLOSE, before it answers.
        answered = threading.Event()
        self._transport.ask(REQUEST, lambda _: answered.set())
        answered.wait(_NOTICED_SECONDS)

    def _still_open(self, seconds: float) -> bool:
        """Whether the server has a session of ours, `seconds` from now."""
        deadline = time.monotonic() + seconds
        with self._lock:
            channels = tuple(self._open)
        return not all(
            each.far_closed.wait(max(0.0, deadline - time.monotonic())) for each in channels
        )

    def _pause(self, seconds: float) -> None:
        if self._transport.ended.wait(seconds):
            raise connection_problems.lost(self._target, self._transport.reason())

    def _counted(self, action: Callable[[], T]) -> T:
        with self._lock:
            self._starting_or_running += 1
        try:
            return action()
        finally:
            with self._lock:
                self._starting_or_running -= 1


_EXPIRED = b"Password change required"
_EXPIRY_SECONDS = 5.0


def reports_expired_password(completed: Completed) -> bool:
    """Whether a command was refused because the password has expired."""
    return completed.status != 0 and _EXPIRED in completed.stderr
