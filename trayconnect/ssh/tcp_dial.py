"""A TCP connection to a host name: resolve, then try its addresses (RFC 8305)."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from trayconnect.core.abandonable import Address, look_up
from trayconnect.core.cancellation import CancelToken
from trayconnect.ssh import connection_problems
from trayconnect.ssh.target import LoginTarget

STAGGER = 0.25
"""Seconds until the next address is tried while earlier ones are pending (RFC 8305 section 5)."""

_FAMILIES = {"any": socket.AF_UNSPEC, "inet": socket.AF_INET, "inet6": socket.AF_INET6}
_UNDER_WAY = {0, errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", 0)}


def dial(target: LoginTarget, timeout: float, cancel: CancelToken) -> socket.socket:
    """Connect to `target`, within `timeout` seconds for the name and again for TCP, according to
    AddressFamily and BindAddress of ssh_config(5).

    Returns a blocking socket with TCP_NODELAY. Raises `ProblemError` and `Cancelled`."""
    bind = target.options.bind_address
    sources = None if bind is None else _sources(target, bind, timeout, cancel)
    addresses = resolve(target, timeout, cancel)
    if sources is not None:
        addresses = [address for address in addresses if address[0] in sources]
    return _connect_any(target, _alternate(addresses), sources or {}, timeout, cancel)


def resolve(target: LoginTarget, timeout: float, cancel: CancelToken) -> list[Address]:
    """The addresses of the target's host, in the system's order."""
    return _look_up(target, target.host, target.port, timeout, cancel)


def _sources(
    target: LoginTarget, bind: str, timeout: float, cancel: CancelToken
) -> dict[socket.AddressFamily, tuple[Any, ...]]:
    """The source address for each family."""
    return dict(reversed(_look_up(target, bind, 0, timeout, cancel)))


def _look_up(
    target: LoginTarget, host: str, port: int, timeout: float, cancel: CancelToken
) -> list[Address]:
    family = _FAMILIES[target.options.address_family]
    try:
        return look_up(host, port, timeout, cancel, family)
    except TimeoutError:
        raise connection_problems.unresolvable(host, f"no answer within {timeout:g} s") from None
    except OSError as error:
        raise connection_problems.unresolvable(host, str(error)) from error


def _alternate(addresses: Sequence[Address]) -> list[Address]:
    """Alternate the families, beginning with the system's first choice (RFC 8305 section 4)."""
    if not addresses:
        return []
    first = deque(a for a in addresses if a[0] == addresses[0][0])
    others = deque(a for a in addresses if a[0] != addresses[0][0])
    ordered: list[Address] = []
    while first or others:
        ordered += [group.popleft() for group in (first, others) if group]
    return ordered


def _connect_any(
    target: LoginTarget,
    addresses: Sequence[Address],
    sources: Mapping[socket.AddressFamily, tuple[Any, ...]],
    timeout: float,
    cancel: CancelToken,
) -> socket.socket:
    attempts = _Attempts(sources)
    try:
        with cancel.releasing(attempts.wake):
            winner = attempts.race(addresses, timeout, cancel)
    finally:
        attempts.close()
    if winner is None:
        error = connection_problems.most_informative(attempts.errors)
        raise connection_problems.unconnected(target, timeout, error) from error
    winner.setblocking(True)
    winner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    winner.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return winner


class _Attempts:
    """Pending connections, of which the first to succeed is used."""

    def __init__(self, sources: Mapping[socket.AddressFamily, tuple[Any, ...]]) -> None:
        self.errors: list[OSError] = []
        self._sources = sources
        self._pending: set[socket.socket] = set()
        self._selector = selectors.DefaultSelector()
        self._waker, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)

    def wake(self) -> None:
        """From any thread: end `race`."""
        with contextlib.suppress(OSError):  # `close` came first
            self._waker.send(b"\0")

    def race(
        self, addresses: Sequence[Address], timeout: float, cancel: CancelToken
    ) -> socket.socket | None:
        """The first socket to connect; None, with `errors` filled, if none does."""
        waiting = deque(addresses)
        deadline = time.monotonic() + timeout
        next_start = time.monotonic()
        while not cancel.is_set():
            now = time.monotonic()
            if now >= deadline:
                self.errors.append(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
                return None
            if waiting and (now >= next_start or not self._pending):
                self._begin(*waiting.popleft())
                next_start = now + STAGGER
                continue
            if not self._pending:
                return None
            until = min(deadline, next_start) if waiting else deadline
            for key, _ in self._selector.select(max(0.0, until - now)):
                if isinstance(key.fileobj, socket.socket) and key.fileobj in self._pending:
                    winner = self._finish(key.fileobj)
                    if winner is not None:
                        return winner
        return None

    def close(self) -> None:
        """Close every attempt but the successful one."""
        for sock in self._pending:
            sock.close()
        self._selector.close()
        self._waker.close()
        self._woken.close()

    def _begin(self, family: socket.AddressFamily, address: tuple[Any, ...]) -> None:
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            self.errors.append(error)
            return
        try:
            sock.setblocking(False)
            if family in self._sources:
                sock.bind(self._sources[family])
            code = sock.connect_ex(address)
            if code not in _UNDER_WAY:
                raise OSError(code, os.strerror(code))
            self._selector.register(sock, selectors.EVENT_WRITE)
        except OSError as error:
            self.errors.append(error)
            sock.close()
        else:
            self._pending.add(sock)

    def _finish(self, sock: socket.socket) -> socket.socket | None:
        self._selector.unregister(sock)
        self._pending.discard(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == 0:
            return sock
        self.errors.append(OSError(code, os.strerror(code)))
        sock.close()
        return None
