"""The commands of one link: those that run to their end, and the long-running shell that reports
the owners of listeners.

Some servers run one command at a time (MaxSessions 1). There the shell is ended for another
command, and the two alternate."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from trayconnect.core.errors import ProblemError
from trayconnect.core.link import Completed
from trayconnect.ssh import connection_problems
from trayconnect.ssh.connection_problems import NoCommandsError
from trayconnect.ssh.execute import execute, start
from trayconnect.ssh.ownership import Ownership
from trayconnect.ssh.target import LoginTarget
from trayconnect.ssh.transport.channels import SshChannel
from trayconnect.ssh.transport.ssh_transport import SshTransport

_NOTICED_SECONDS = 2.0
"""Seconds that the server needs to notice the end of the other command."""
_EVERY = 0.05

T = TypeVar("T")


class RemoteCommands:
    """From any thread."""

    def __init__(
        self, transport: SshTransport, target: LoginTarget, reporting_accounts: set[str]
    ) -> None:
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
            target.server, self._start_shell, target.account, reporting_accounts
        )

    def execute(self, command: str, stdin: bytes, timeout: float) -> Completed:
        """See `link.Tunnel.execute`."""

        return self._when_free(
            lambda: execute(
                self._transport, self._target, command, stdin, timeout, self._as_running
            ),
            self._end_shell,
            timeout,
        )

    def close(self) -> None:
        """Never raises; may be called twice."""
        self.ownership.close()

    def _start_shell(self, command: str, timeout: float) -> SshChannel:
        def action() -> SshChannel:
            self._shell = start(self._transport, self._target, command, timeout)
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
