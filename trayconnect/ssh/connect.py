"""From a byte stream to an SSH transport with its keys exchanged, with time limits."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence

from paramiko.ssh_exception import IncompatiblePeer

from trayconnect.core.cancellation import CancelToken
from trayconnect.core.errors import ProblemError
from trayconnect.ssh import connection_problems
from trayconnect.ssh.connection_problems import (
    nothing_in_common,
    nothing_left,
    old_protocol,
    protocol_error,
)
from trayconnect.ssh.hostkeys.known_hosts import (
    CERT_AUTHORITY,
    REVOKED,
    KnownHostsEntry,
    find_marked,
    known_types,
)
from trayconnect.ssh.target import LoginTarget
from trayconnect.ssh.transport import offered_algorithms
from trayconnect.ssh.transport.offered_algorithms import AlgorithmOffer, NothingLeftError
from trayconnect.ssh.transport.ssh_transport import SshTransport

GreetingWait = Callable[[threading.Event, float], bool]
"""Waits for an event for so many seconds, or longer. Returns whether it happened."""

JOIN_SECONDS = 5.0
_EMPTY_LINE_SECONDS = 1.0
_BUSY = ("MaxStartups", "Not allowed at this time")
"""OpenSSH's message before its version when it accepts no more logins; the second one, since 9.8,
for addresses with penalties (PerSourcePenalties)."""
_BUSY_SECONDS = 15.0
"""The shortest of those penalties in seconds."""
_LOST = (EOFError, ConnectionError, BrokenPipeError)


def what_to_offer(target: LoginTarget, entries: Sequence[KnownHostsEntry]) -> AlgorithmOffer:
    """The algorithms to offer a server, when `entries` are the known_hosts lines that may match it.

    Raises `ProblemError`."""
    names = target.known_hosts_names
    # A certificate by a revoked authority counts against the plain key, too.
    revocations = target.options.revoked_host_keys or find_marked(REVOKED, entries, names)
    try:
        return offered_algorithms.choose(
            target.options,
            legacy=target.legacy,
            known_types=known_types(entries, names),
            certificates=bool(
                revocations
                or find_marked(CERT_AUTHORITY, entries, names)
                # The command may know an authority, or a revocation, once it is asked about the
                # key.
                or target.options.known_hosts_command
            ),
        )
    except NothingLeftError as error:
        raise nothing_left(target, error.keyword, error.acceptable) from error


def shake_hands(
    sock: socket.socket,
    target: LoginTarget,
    *,
    timeout: float,
    cancel: CancelToken,
    offer: AlgorithmOffer,
    wait_greeting: GreetingWait = threading.Event.wait,
) -> SshTransport:
    """Exchange versions and keys over `sock`, and take ownership of it.

    `timeout` seconds apply to the server's version, and again to the key exchange; `offer` lists
    the algorithms, `wait_greeting` waits for the version. Raises `ProblemError` and `Cancelled`,
    and closes everything then."""
    try:
        transport = SshTransport(sock, name=f"{target.server} {target.address}", offer=offer)
    except OSError:  # no descriptors are left
        sock.close()
        raise
    try:
        with cancel.releasing(transport.abort):
            _shake_hands(transport, target, timeout, wait_greeting)
    except BaseException:
        dispose(transport)
        cancel.check()
        raise
    return transport


def dispose(transport: SshTransport) -> None:
    """Close a transport abruptly, and join its threads."""
    transport.abort()
    if transport.is_alive() and transport is not threading.current_thread():
        transport.join(JOIN_SECONDS)


def _shake_hands(
    transport: SshTransport, target: LoginTarget, timeout: float, wait_greeting: GreetingWait
) -> None:
    done = threading.Event()
    transport.start_client(event=done)
    if not wait_greeting(transport.greeted, max(timeout - _EMPTY_LINE_SECONDS, timeout * 0.75)):
        _send_empty_line(transport)
        if not transport.greeted.wait(min(_EMPTY_LINE_SECONDS, timeout * 0.25)):
            raise _misunderstood(transport, target, timeout)
    if not transport.packetizer.is_ssh:
        raise _misunderstood(transport, target, timeout)
    if not done.wait(timeout):
        raise connection_problems.handshake_slow(target, timeout)
    if not transport.active:
        transport.ended.wait(timeout)  # paramiko sets `done` before
        raise _misunderstood(transport, target, timeout)


def _send_empty_line(transport: SshTransport) -> None:
    # To a web server our version is the first line of a request; an empty line ends the request,
    # and the response identifies it.
    with contextlib.suppress(OSError, EOFError):
        transport.sock.send(b"\r\n\r\n")


def _misunderstood(transport: SshTransport, target: LoginTarget, timeout: float) -> ProblemError:
    """Why the transport ended before its keys were exchanged."""
    error = transport.saved_exception
    detail = transport.reason()
    lines = [line for line in transport.packetizer.greeting if line.strip()]
    if not transport.packetizer.is_ssh:
        if any(message in line for line in lines for message in _BUSY):
            return connection_problems.busy(target, lines[-1], wait=_BUSY_SECONDS)
        if lines:
            return connection_problems.not_ssh(target, lines[0])
        if transport.ended.is_set():
            return connection_problems.hung_up(target, detail)
        return connection_problems.silent(target, timeout)
    if isinstance(error, IncompatiblePeer):
        mismatches = offered_algorithms.missing(transport.peer_offer, transport.offer)
        if not mismatches:
            return old_protocol(target, transport.packetizer.greeting[-1])
        return nothing_in_common(target, mismatches)
    if error is None or isinstance(error, _LOST):
        if transport.peer_offer or transport.disconnect_reason:
            return connection_problems.handshake_lost(target, detail)
        return connection_problems.busy(target, detail)
    if isinstance(error, OSError):
        return connection_problems.handshake_lost(target, detail)
    return protocol_error(target, detail)
