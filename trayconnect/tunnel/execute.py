"""Running one command on the server, with limits of time and size."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from trayconnect.ports import Completed
from trayconnect.tunnel import problems
from trayconnect.tunnel.channels import SshChannel
from trayconnect.tunnel.target import Target
from trayconnect.tunnel.transport import ChannelRefusedError, SshTransport

MAX_OUTPUT = 1 << 20
_READ = 32 << 10
_JOIN_SECONDS = 5.0


def execute(
    transport: SshTransport, target: Target, command: str, stdin: bytes, timeout: float
) -> Completed:
    """Run `command` through the account's shell, feed it `stdin`, and wait for its end.

    What exceeds 1 MiB of an output is read and dropped. The status is -1 when the server gives
    none, as for a command that a signal ended. Raises `ProblemError`."""
    deadline = time.monotonic() + timeout
    try:
        channel = transport.open("session", timeout)
    except TimeoutError as error:
        raise problems.channel_slow(target, "a session", timeout) from error
    except ChannelRefusedError as error:
        raise problems.command_refused(target) from error
    except ConnectionError as error:
        raise problems.lost(target, str(error)) from error
    try:
        if not channel.start_command(command, max(0.0, deadline - time.monotonic())):
            if transport.ended.is_set():
                raise problems.lost(target, transport.reason())
            raise problems.command_refused(target)
        return _run(channel, target, stdin, deadline)
    except TimeoutError as error:
        raise problems.command_slow(target, timeout) from error
    finally:
        with contextlib.suppress(OSError, EOFError):
            channel.close()


def _run(channel: SshChannel, target: Target, stdin: bytes, deadline: float) -> Completed:
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
        while data := channel.recv_within(_READ, deadline):
            _keep(stdout, data)
        if not channel.status_event.wait(max(0.0, deadline - time.monotonic())):
            raise TimeoutError
        helpers[1].join(max(0.0, deadline - time.monotonic()))
        if channel.cut_off:
            raise problems.lost(target, channel.outlet.reason())
        return Completed(channel.exit_status, bytes(stdout), bytes(stderr))
    finally:
        # Wakes the helpers.
        with contextlib.suppress(OSError, EOFError):
            channel.close()
        for helper in helpers:
            helper.join(_JOIN_SECONDS)


def _feed(channel: SshChannel, stdin: bytes) -> None:
    # A command may well end without reading all.
    with contextlib.suppress(OSError, EOFError):
        channel.send_all(stdin)
        channel.shutdown_write()


def _collect(receive: Callable[[int], bytes], kept: bytearray) -> None:
    with contextlib.suppress(OSError, EOFError):
        while data := receive(_READ):
            _keep(kept, data)


def _keep(kept: bytearray, data: bytes) -> None:
    kept += data[: MAX_OUTPUT - len(kept)]
