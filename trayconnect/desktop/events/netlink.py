"""Linux's messages about changes of the network (rtnetlink(7), netlink(7))."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Iterator

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
