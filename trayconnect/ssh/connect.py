"""From a stream to an SSH transport with its keys exchanged, every wait bounded."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence

from paramiko.ssh_exception import IncompatiblePeer

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import ProblemError
from trayconnect.ssh import connection_problems, handshake_problems
from trayconnect.ssh.hostkeys.known_hosts import (
    KnownHostsEntry,
    find_authority,
    find_revocation,
    known_types,
)
from trayconnect.ssh.target import LoginTarget
from trayconnect.ssh.transport import offered_algorithms
from trayconnect.ssh.transport.channels import SshChannel
from trayconnect.ssh.transport.offered_algorithms import NothingLeftError, Offer
from trayconnect.ssh.transport.ssh_transport import SshTransport

Hear = Callable[[threading.Event, float], bool]
"""Waits for an event for so many seconds, or for longer; whether it came."""

JOIN_SECONDS = 5.0
_NUDGE_SECONDS = 1.0
_BUSY = ("MaxStartups", "Not allowed at this time")
"""What OpenSSH says before its version when it takes no more logins; the second, since 9.8, to
addresses with penalties (PerSourcePenalties)."""
_BUSY_SECONDS = 15.0
"""The shortest of those penalties."""
_LOST = (EOFError, ConnectionError, BrokenPipeError)


def what_to_offer(target: LoginTarget, entries: Sequence[KnownHostsEntry]) -> Offer:
    """What to ask a server for, when `entries` of known_hosts files may speak of it.

    Raises `ProblemError`."""
    names = target.known_hosts_names
    # A certificate by an authority that is revoked counts against the plain key, too.
    revocations = target.options.revoked_host_keys or find_revocation(entries, names)
    try:
        return offered_algorithms.choose(
            target.options,
            legacy=target.legacy,
            known_types=known_types(entries, names),
            certificates=bool(
                revocations
                or find_authority(entries, names)
                # It may know an authority, or revoke one, once it is asked about the key.
                or target.options.known_hosts_command
            ),
        )
    except NothingLeftError as error:
        raise handshake_problems.nothing_left(target, error.keyword, error.wanted) from error


def shake_hands(
    sock: socket.socket | SshChannel,
    target: LoginTarget,
    *,
    timeout: float,
    cancel: CancelToken,
    offer: Offer,
    hear: Hear = threading.Event.wait,
) -> SshTransport:
    """Exchange versions and keys over `sock`, which it owns from now on.

    `timeout` seconds are for the server's version, and as many for the key exchange; `offer` is
    what to ask for in that, `hear` the wait for the version. Raises `ProblemError` and `Cancelled`;
    then everything is closed."""
    transport = SshTransport(sock, name=f"{target.server} {target.address}", offer=offer)
    try:
        with cancel.releasing(transport.abort):
            _shake_hands(transport, target, timeout, hear)
    except BaseException:
        dispose(transport)
        cancel.check()
        raise
    return transport


def dispose(transport: SshTransport) -> None:
    """Drop a transport, and join its threads."""
    transport.abort()
    if transport.is_alive() and transport is not threading.current_thread():
        transport.join(JOIN_SECONDS)
    transport.outbox.close(JOIN_SECONDS)


def _shake_hands(transport: SshTransport, target: LoginTarget, timeout: float, hear: Hear) -> None:
    done = threading.Event()
    transport.start_client(event=done)
    if not hear(transport.greeted, max(timeout - _NUDGE_SECONDS, timeout * 0.75)):
        _nudge(transport)
        if not transport.greeted.wait(min(_NUDGE_SECONDS, timeout * 0.25)):
            raise _misunderstood(transport, target, timeout)
    if not transport.packetizer.is_ssh:
        raise _misunderstood(transport, target, timeout)
    if not done.wait(timeout):
        raise connection_problems.handshake_slow(target, timeout)
    if transport.ended.is_set():
        raise _misunderstood(transport, target, timeout)


def _nudge(transport: SshTransport) -> None:
    # To a web server our version is the first line of a request; an empty line ends it, and the
    # answer tells what it is.
    with contextlib.suppress(OSError, EOFError):
        transport.sock.send(b"\r\n\r\n")


def _misunderstood(transport: SshTransport, target: LoginTarget, timeout: float) -> ProblemError:
    """Why the transport ended before its keys were exchanged."""
    error = transport.saved_exception
    detail = transport.reason()
    lines = [line for line in transport.packetizer.greeting if line.strip()]
    if not transport.packetizer.is_ssh:
        if any(words in line for line in lines for words in _BUSY):
            return connection_problems.busy(target, lines[-1], wait=_BUSY_SECONDS)
        if lines:
            return connection_problems.not_ssh(target, lines[0])
        if transport.ended.is_set():
            return connection_problems.hung_up(target, detail)
        return connection_problems.silent(target, timeout)
    if isinstance(error, IncompatiblePeer):
        lacks = offered_algorithms.missing(transport.peer_offer, transport.offer)
        if not lacks:
            return handshake_problems.old_protocol(target, transport.packetizer.greeting[-1])
        return handshake_problems.nothing_in_common(target, lacks)
    if error is None or isinstance(error, _LOST):
        if transport.peer_offer or transport.peer_goodbye:
            return connection_problems.handshake_lost(target, detail)
        return connection_problems.busy(target, detail)
    if isinstance(error, OSError):
        return connection_problems.handshake_lost(target, detail)
    return handshake_problems.broken(target, detail)
