"""The user at the local end of a TCP connection or a UNIX socket.

Only Linux reports it: a netlink SOCK_DIAG query for exactly one socket needs no privilege and takes
about 0.01 ms, however many sockets there are. Layout: linux/inet_diag.h, linux/netlink.h,
sock_diag(7); for UNIX sockets SO_PEERCRED, see unix(7)."""

from __future__ import annotations

import contextlib
import enum
import errno
import functools
import ipaddress
import logging
import select
import socket
import struct
import sys
import threading
from typing import NamedTuple

_log = logging.getLogger(__name__)

_AF_NETLINK = 16  # Python defines it on Linux only
_NETLINK_SOCK_DIAG = 4
_NLMSG_ERROR = 2
_NLM_F_REQUEST = 1
_SOCK_DIAG_BY_FAMILY = 20
_TCP_LISTEN = 10
_ALL_STATES = 0xFFFFFFFF
_NO_COOKIE = (0xFFFFFFFF, 0xFFFFFFFF)
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_REQUEST = struct.Struct("=BBBxI")  # family, protocol, extensions, states
_SOCKET_ID = struct.Struct("!HH16s16s")  # source port, destination port, source, destination
_SOCKET_ID_TAIL = struct.Struct("=III")  # interface, cookie
_ERROR = struct.Struct("=i")
_ANSWER = struct.Struct("=BBBB48xIIIII")  # family, state, …, expires, queues, uid, inode
_REQUEST_SIZE = sum(each.size for each in (_HEADER, _REQUEST, _SOCKET_ID, _SOCKET_ID_TAIL))
_LONGEST_ANSWER = 8192
_UCRED = struct.Struct("=iII")  # pid, uid, gid
_TIMEOUT = 1.0
"""Seconds. The kernel answers within the call; the limit is a safeguard."""

_Address = tuple[str, int] | tuple[str, int, int, int]
"""As `socket.getpeername` gives it."""
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class PeerOwner(enum.Enum):
    """Who connected to a local port."""

    OURS = "ours"
    """A process of this user, or of root."""
    OTHER_USER = "stranger"
    GONE = "gone"
    """The socket is closed, so its owner cannot be determined any more."""
    UNKNOWN = "unknown"
    """This system does not tell, or the process is on another computer."""


class SocketOwner(NamedTuple):
    """Of a socket that is bound; `inode` 0: no process has it any more."""

    uid: int
    inode: int
    state: int


class Peers:
    """Tells who is at the other end of accepted local connections, as seen by user `uid`; None:
    this computer's users are not to be told apart. From any thread, until `close`."""

    def __init__(self, uid: int | None) -> None:
        self._uid = uid
        self._table = SocketTable()

    def identify(self, client: socket.socket) -> PeerOwner:
        """Raises OSError when the process is out of file descriptors or the kernel is out of
        memory: the owner cannot be determined for now."""
        return PeerOwner.UNKNOWN if self._uid is None else _ask(self._table, client, self._uid)

    def close(self) -> None:
        """Never raises; may be called twice."""
        self._table.close()


if sys.platform == "linux":

    def _ask(table: SocketTable, client: socket.socket, uid: int) -> PeerOwner:
        try:
            here, there = client.getsockname(), client.getpeername()
        except OSError:
            return PeerOwner.GONE
        if isinstance(here, tuple):
            return _ask_kernel(table, client, here, there, uid)
        return _ask_socket(client, uid)

    def _ask_socket(client: socket.socket, uid: int) -> PeerOwner:
        try:
            credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        except OSError:
            return PeerOwner.GONE
        _, owner, _ = _UCRED.unpack(credentials)
        poll = select.poll()
        poll.register(client, 0)
        if poll.poll(0):  # POLLHUP: both directions are closed
            return PeerOwner.GONE
        return PeerOwner.OURS if owner in (uid, 0) else PeerOwner.OTHER_USER
else:

    def _ask(table: SocketTable, client: socket.socket, uid: int) -> PeerOwner:  # noqa: ARG001
        return PeerOwner.UNKNOWN


def _ask_kernel(
    table: SocketTable, client: socket.socket, here: _Address, there: _Address, uid: int
) -> PeerOwner:
    try:
        owner = table.owner(there, here)
        # A socket that listens on every address also matches the other end of a remote connection.
        if (owner is None or owner.state == _TCP_LISTEN) and not _is_of_this_computer(there):
            return PeerOwner.UNKNOWN
        # A kernel without inet_diag reports "no such socket" for every query: query our own end.
        blind = owner is None and table.owner(here, there) is None
    except OSError as error:
        if error.errno in _EXHAUSTED:
            raise
        _log_once(str(error))
        return PeerOwner.UNKNOWN
    if blind and _is_connected(client):
        _log_once("the kernel knows no TCP sockets")
        return PeerOwner.UNKNOWN
    return classify(owner.uid, owner.inode, owner.state, uid) if owner else PeerOwner.GONE


def classify(owner: int, inode: int, state: int, uid: int) -> PeerOwner:
    """Interpret the kernel's answer about the other end for user `uid`.

    A closed socket that TCP still winds down is reported with inode 0, and then with uid 0, which
    is not root. A listening one only reuses the port."""
    if inode == 0 or state == _TCP_LISTEN:
        return PeerOwner.GONE
    return PeerOwner.OURS if owner in (uid, 0) else PeerOwner.OTHER_USER


@functools.cache
def _log_once(reason: str) -> None:
    _log.warning("cannot tell which user connects to a local port: %s", reason)


def _is_connected(client: socket.socket) -> bool:
    try:
        client.getpeername()
    except OSError:
        return False
    return True


def _is_of_this_computer(address: _Address) -> bool:
    """Whether a process of this computer has the address, loopback or not. It may connect from any
    of them, also to 127.0.0.1, and be gone before it is identified; what it sent is still read.

    Raises OSError."""
    if ipaddress.ip_address(address[0].partition("%")[0]).is_loopback:
        return True
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(address)  # sends nothing
        except OSError:
            return False  # no way there
        # The system sends from another address, unless it sends to itself.
        return bool(probe.getsockname()[0] == address[0])


def socket_uid(here: tuple[str, int], there: tuple[str, int] | None) -> int | None:
    """The user of the TCP socket bound to `here`, which listens or is connected to `there` (Linux).
    Raises OSError."""
    with contextlib.closing(SocketTable()) as table:
        owner = table.owner(here, there or (here[0], 0))
    return owner.uid if owner is not None and owner.inode else None


class SocketTable:
    """The kernel's table of TCP sockets. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._netlink: socket.socket | None = None
        """One socket for all queries: to make one costs more than a query."""
        self._is_closed = False

    def owner(self, source: _Address, destination: _Address) -> SocketOwner | None:
        """The owner of the socket bound to `source` and connected to `destination`, if any.

        Raises OSError."""
        request = _request(source, destination)
        with self._lock:
            answer = self._ask(request)
        kind = _HEADER.unpack_from(answer)[1]
        if kind == _NLMSG_ERROR:
            code = -_ERROR.unpack_from(answer, _HEADER.size)[0]
            if code == errno.ENOENT:
                return None
            raise OSError(code, "netlink SOCK_DIAG refused the question")
        fields = _ANSWER.unpack_from(answer, _HEADER.size)
        return SocketOwner(uid=fields[-2], inode=fields[-1], state=fields[1])

    def close(self) -> None:
        """Never raises; may be called twice."""
        with self._lock:
            self._is_closed = True
            netlink, self._netlink = self._netlink, None
        if netlink is not None:
            netlink.close()

    def _ask(self, request: bytes) -> bytes:
        netlink, self._netlink = self._netlink, None
        if netlink is None:
            netlink = socket.socket(_AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG)
        try:
            netlink.setblocking(False)
            netlink.send(request)
            try:
                answer = netlink.recv(_LONGEST_ANSWER)  # the kernel answers within `send`
            except BlockingIOError:
                netlink.settimeout(_TIMEOUT)
                answer = netlink.recv(_LONGEST_ANSWER)
        except BaseException:
            netlink.close()  # a late answer would be taken for that of the next query
            raise
        if self._is_closed:
            netlink.close()
        else:
            self._netlink = netlink
        return answer


def _request(source: _Address, destination: _Address) -> bytes:
    family = socket.AF_INET6 if ":" in source[0] else socket.AF_INET
    # A link-local address belongs to one interface.
    interface = int(source[3]) if len(source) > 3 else 0
    return b"".join(
        (
            _HEADER.pack(_REQUEST_SIZE, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0),
            _REQUEST.pack(family, socket.IPPROTO_TCP, 0, _ALL_STATES),
            _SOCKET_ID.pack(
                source[1],
                destination[1],
                socket.inet_pton(family, source[0].partition("%")[0]),
                socket.inet_pton(family, destination[0].partition("%")[0]),
            ),
            _SOCKET_ID_TAIL.pack(interface, *_NO_COOKIE),
        )
    )
