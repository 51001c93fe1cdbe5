"""Detects changes of the network: another Wi-Fi, a VPN, a cable. Linux reports them (rtnetlink(7),
netlink(7)); elsewhere this polls."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator

from trayconnect.desktop.events.watching import PollingWatcher, Waker, ready

# linux/rtnetlink.h: bits of `nl_groups`, message types, the table of ordinary routes.
RTMGRP_LINK = 0x1
RTMGRP_IPV4_IFADDR = 0x10
RTMGRP_IPV4_ROUTE = 0x40
RTMGRP_IPV6_IFADDR = 0x100
RTM_NEWLINK, RTM_DELLINK = 16, 17
RTM_NEWADDR, RTM_DELADDR = 20, 21
RTM_NEWROUTE, RTM_DELROUTE = 24, 25
RT_TABLE_MAIN = 254
# linux/if.h
IFF_UP, IFF_RUNNING, IFF_LOWER_UP = 0x1, 0x40, 0x10000

_STATE_FLAGS = IFF_UP | IFF_RUNNING | IFF_LOWER_UP
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_LINK = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")  # rtmsg: family, ..., table (the fifth), ..., flags
_ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type
_IFA_ADDRESS = 1
_IFA_LOCAL = 2

GROUPS = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE


class LinkState:
    """Distinguishes changes from noise: wireless links report each scan, and IPv6 routers announce
    the same address every few minutes. The first message about a link or an address counts as a
    change."""

    def __init__(self) -> None:
        self._links: dict[int, int] = {}
        self._addresses: set[tuple[int, int, bytes]] = set()

    def feed(self, datagram: bytes) -> bool:
        """Whether the messages in the datagram change anything. Malformed messages do not."""
        changes = [self._apply(kind, payload) for kind, payload in _messages(datagram)]
        return any(changes)

    def _apply(self, kind: int, payload: bytes) -> bool:
        try:
            if kind in (RTM_NEWLINK, RTM_DELLINK):
                return self._apply_link(kind, payload)
            if kind in (RTM_NEWADDR, RTM_DELADDR):
                return self._apply_address(kind, payload)
            if kind in (RTM_NEWROUTE, RTM_DELROUTE):
                return bool(_ROUTE.unpack_from(payload)[4] == RT_TABLE_MAIN)
        except struct.error:
            return False
        return False

    def _apply_link(self, kind: int, payload: bytes) -> bool:
        _, _, index, flags, _ = _LINK.unpack_from(payload)
        state = flags & _STATE_FLAGS if kind == RTM_NEWLINK else 0
        if self._links.get(index) == state:
            return False
        self._links[index] = state
        return True

    def _apply_address(self, kind: int, payload: bytes) -> bool:
        family, _, _, _, index = _ADDRESS.unpack_from(payload)
        attributes = dict(_attributes(payload[_ADDRESS.size :]))
        address = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS, b"")
        entry = (index, family, address)
        if kind == RTM_DELADDR:
            self._addresses.discard(entry)
            return True
        known = entry in self._addresses
        self._addresses.add(entry)
        return not known


def open_socket() -> socket.socket:
    """A socket that receives the changes as datagrams. Raises OSError."""
    if sys.platform == "linux":
        result = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        try:
            result.bind((0, GROUPS))
        except OSError:
            result.close()
            raise
        return result
    else:  # noqa: RET505 - mypy calls code after a platform's return unreachable
        raise OSError("netlink is Linux's own")


def _messages(datagram: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _HEADER.size <= len(datagram):
        length, kind, _, _, _ = _HEADER.unpack_from(datagram, offset)
        if length < _HEADER.size:
            return
        yield kind, datagram[offset + _HEADER.size : offset + length]
        offset += _aligned(length)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            return
        yield kind, data[offset + _ATTRIBUTE.size : offset + length]
        offset += _aligned(length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3


logger = logging.getLogger(__name__)

QUIET = 1.0
"""Seconds without another change before one is reported; changes come in bursts."""
LONGEST_BURST = 5.0
POLL = 10.0
"""Poll interval in seconds, where the system sends no messages."""

_STOP_LIMIT = 5.0

# Documentation addresses (RFC 5737, RFC 3849): connecting a UDP socket sends nothing, and only
# makes the system choose a route and a source address.
_PROBES = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


class NetlinkWatcher:
    """Linux: calls `on_change`, on a thread of its own, when the kernel reports a change.

    `quiet` (seconds) is for tests. `start` and `stop` may be called repeatedly."""

    def __init__(self, on_change: Callable[[], None], quiet: float = QUIET) -> None:
        self._on_change = on_change
        self._quiet = quiet
        self._lock = threading.Lock()
        self._waker: Waker | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            with contextlib.ExitStack() as stack:
                try:
                    opened = stack.enter_context(open_socket())
                    waker = stack.enter_context(contextlib.closing(Waker()))
                    thread = threading.Thread(
                        target=self._watch, args=[opened, waker], name="tc-network", daemon=True
                    )
                    thread.start()
                except (OSError, RuntimeError) as error:
                    logger.warning("changes of the network are not noticed: %s", error)
                    return
                self._waker, self._thread = waker, thread
                stack.pop_all()

    def stop(self) -> None:
        """Join the thread, unless called on it."""
        with self._lock:
            thread, self._thread = self._thread, None
            waker, self._waker = self._waker, None
        if waker is not None:
            waker.wake()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_STOP_LIMIT)

    def _watch(self, opened: socket.socket, waker: Waker) -> None:
        state = LinkState()
        with opened:
            try:
                while self._next_change(opened, waker, state, None):
                    last = time.monotonic() + LONGEST_BURST
                    while self._next_change(opened, waker, state, last):
                        pass
                    if ready([waker.fileno()], 0):
                        return
                    logger.info("the network changed")
                    self._on_change()
            finally:
                waker.close()

    def _next_change(
        self, opened: socket.socket, waker: Waker, state: LinkState, last: float | None
    ) -> bool:
        """Wait for a real change: without limit, or as part of a burst that ends at `last`. False:
        stopped, or the burst is over."""
        watched = (opened.fileno(), waker.fileno())
        quiet_until = time.monotonic() + self._quiet
        while True:
            timeout = None if last is None else max(0.0, min(quiet_until, last) - time.monotonic())
            found = ready(watched, timeout)
            if not found or waker.fileno() in found:
                return False
            if _receive(opened, state):
                return True


def _receive(opened: socket.socket, state: LinkState) -> bool:
    try:
        return state.feed(opened.recv(1 << 16))
    except OSError as error:
        # The kernel dropped messages, or has no memory for this one: something changed.
        if error.errno in (errno.ENOBUFS, errno.ENOMEM):
            return True
        raise


def source_addresses() -> tuple[str, ...]:
    """The source addresses of packets to the internet, for IPv4 and IPv6; empty without a route.
    Sends nothing."""
    return tuple(_source_address(family, target) for family, target in _PROBES)


def _source_address(family: socket.AddressFamily, target: str) -> str:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return ""


class RouteWatcher(PollingWatcher[tuple[str, ...]]):
    """macOS, Windows: the same, by comparing the source addresses of routes to the internet.

    `interval` (seconds) and `look` are for tests."""

    def __init__(
        self,
        on_change: Callable[[], None],
        interval: float = POLL,
        look: Callable[[], tuple[str, ...]] = source_addresses,
    ) -> None:
        super().__init__(interval, look, _routes_changed, on_change)


def _routes_changed(before: tuple[str, ...], now: tuple[str, ...]) -> bool:
    if before == now:
        return False
    logger.info("the network changed")
    return True


if sys.platform == "linux":
    NetworkWatcher = NetlinkWatcher
else:
    NetworkWatcher = RouteWatcher
