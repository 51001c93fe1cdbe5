"""Who owns the listeners of the node, as the relay sees it there. Part of the text of `far`."""

import os
import socket
import struct
import sys
from typing import List, Optional, Tuple

assert sys.platform == "linux"  # the nodes of every cluster

from trayconnect.services.batch.relay.frames import *


def of_uid(uid: int) -> int:
    if uid == os.getuid():
        return OURS
    return SYSTEM if uid < first_person() else OTHERS


def first_person() -> int:
    """Below this, accounts are the system's."""
    try:
        with open("/etc/login.defs", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                words = line.split()
                if len(words) > 1 and words[0] == "UID_MIN" and words[1].isdigit():
                    return min(1000, int(words[1]))
    except OSError:
        pass
    return 1000


def peer_owner(sock: socket.socket) -> int:
    """Whose process listens at the other end of a connection to a UNIX socket."""
    size = struct.calcsize("iII")
    _, uid, _ = struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return of_uid(uid)


Row = Tuple[bytes, int, bytes, int, bool, int, int]
"""A socket of /proc/net: local address and port, remote ones, whether it listens, uid, inode."""
ANY = bytes(16)
MAPPED = bytes(10) + b"\xff\xff"
"""Begins an IPv4 address among those of IPv6."""
ANY_4 = MAPPED + bytes(4)


def wide(address: str) -> bytes:
    """An address as 16 bytes. Raises OSError for a name."""
    address = address.partition("%")[0]
    if ":" in address:
        return socket.inet_pton(socket.AF_INET6, address)
    return MAPPED + socket.inet_pton(socket.AF_INET, address)


def place_of(word: str) -> Tuple[bytes, int]:
    text, _, port = word.partition(":")
    raw = bytes.fromhex(text)
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    return (raw if len(raw) == 16 else MAPPED + raw), int(port, 16)


def rows(port: int) -> List[Row]:
    """The sockets of the node with that port at either end."""
    found: List[Row] = []
    end = ":%04X" % port
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as lines:
                for line in lines:
                    if end not in line:
                        continue
                    words = line.split()
                    if words[1].endswith(end) or words[2].endswith(end):
                        local, remote = place_of(words[1]), place_of(words[2])
                        uid, inode = int(words[7]), int(words[9])
                        found.append((*local, *remote, words[3] == "0A", uid, inode))
        except (OSError, ValueError, IndexError):
            continue
    return found


def listener_owner(address: str, port: int, table: Optional[List[Row]] = None) -> int:
    """Of the listener that gets the connections to an address of the node: the most specific one;
    of equally specific ones, the least trusted. Raises OSError for a name."""
    place = wide(address)
    levels = [place, ANY_4, ANY] if place.startswith(MAPPED) else [place, ANY]
    listening = [row for row in (rows(port) if table is None else table) if row[4]]
    for level in levels:
        owners = [of_uid(row[5]) for row in listening if row[0] == level and row[1] == port]
        if owners:
            return max(owners)
    return NOBODY


def connection_owner(sock: socket.socket) -> int:
    """Whose process has the other end of a connection, if that is on the node: found by both
    addresses and both ports, so that it is this one."""
    near, far = sock.getsockname()[:2], sock.getpeername()[:2]
    here, there = (wide(near[0]), near[1]), (wide(far[0]), far[1])
    for _ in range(2):  # the kernel may skip a row while others come and go
        table = rows(there[1])
        for row in table:
            if row[:4] == (*there, *here) and not row[4]:
                if row[6]:
                    return of_uid(row[5])
                # It is not accepted yet, and only its listener can do that.
                return listener_owner(far[0], there[1], table)
    return UNKNOWN
