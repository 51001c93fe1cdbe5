"""Runs one command on the server, with limits of time and size."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from trayconnect.core.link import Completed
from trayconnect.ssh import connection_problems
from trayconnect.ssh.target import LoginTarget
from trayconnect.ssh.transport.channels import SshChannel
from trayconnect.ssh.transport.ssh_transport import ChannelRefusedError, SshTransport

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
) -> Completed:
    """Run `command` through the account's shell, feed it `stdin`, and wait for its end; `running`
    is entered while the command runs on the server.

    The last 1 MiB of each output is kept. The status is -1 if the server gives none, as for a
    command that a signal ended. If another process keeps an output open after the command's end,
    such as one that a start-up file left in the background, the output is not awaited. Raises
    `ProblemError`, and `NotEndedError` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    try:
        channel = start(transport, target, command, timeout)
        try:
            with running():
                return _run(channel, target, stdin, deadline, timeout)
        finally:
            with contextlib.suppress(OSError, EOFError):
                channel.close()
    except TimeoutError as error:
        raise connection_problems.command_slow(target, timeout) from error


def start(transport: SshTransport, target: LoginTarget, command: str, timeout: float) -> SshChannel:
    """Start `command` through the account's shell; the channel carries its input and output. Raises
    `ProblemError`, and TimeoutError once a channel is open."""
    deadline = time.monotonic() + timeout
    try:
        channel = transport.open("session", timeout)
    except TimeoutError as error:
        raise connection_problems.channel_slow(target, "a session", timeout) from error
    except ChannelRefusedError as error:
        raise connection_problems.command_refused(target) from error
    except ConnectionError as error:
        raise connection_problems.lost(target, str(error)) from error
    try:
        if channel.start_command(command, max(0.0, deadline - time.monotonic())):
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
