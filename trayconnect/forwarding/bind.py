"""Binding of local ports and sockets, with user-facing errors."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from trayconnect.core.endpoints import Endpoint, TcpEndpoint
from trayconnect.core.errors import Problem, ProblemError
from trayconnect.forwarding.bind_unix import bind_unix
from trayconnect.forwarding.port_owner import port_owner

_BACKLOG = 1024


class NoSuchAddressError(ProblemError):
    """This computer does not have the address."""


class Bound(NamedTuple):
    """A listening socket, and the function that removes its file, if it has one, while the socket
    is open."""

    socket: socket.socket
    remove: Callable[[], None]


def bind(where: Endpoint, owner: str) -> Bound:
    """Listen, non-blocking, on `where` only.

    `owner` is the name of the entry that wants it. Raises `ProblemError`."""
    if isinstance(where, TcpEndpoint):
        return Bound(bind_tcp(where.host, where.port, owner), lambda: None)
    return Bound(*bind_unix(Path(where.path), owner))


def bind_all(places: Sequence[Endpoint], owner: str) -> list[Bound]:
    """Listen on all `places` or on none. A place after the first is skipped if this computer lacks
    its address: a computer without IPv6 has no [::1].

    Raises `ProblemError`."""
    with ExitStack() as unbind:
        all_bound: list[Bound] = []
        for number, where in enumerate(places):
            try:
                bound = bind(where, owner)
            except NoSuchAddressError:
                if not number:
                    raise
                continue
            unbind.enter_context(bound.socket)
            unbind.callback(bound.remove)
            all_bound.append(bound)
        unbind.pop_all()
    return all_bound


def bind_tcp(address: str, port: int, owner: str) -> socket.socket:
    """The socket of `bind` for a TCP port. Raises `ProblemError`."""
    try:
        family, numeric = _resolve(address)
    except (OSError, UnicodeError) as error:
        raise NoSuchAddressError(_no_such_address(address, owner, str(error))) from error
    try:
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            if sys.platform == "win32":
                # Windows' SO_REUSEADDR would share the port with another listener, or steal it.
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:
                # Connections of an earlier run may be in TIME_WAIT; binding succeeds all the same.
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind((numeric, port))
            listening.listen(_BACKLOG)
            listening.setblocking(False)
        except BaseException:
            listening.close()
            raise
    except OSError as error:
        if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            problem = _no_such_address(address, owner, f"bind {address}:{port}: {error}")
            raise NoSuchAddressError(problem) from error
        raise ProblemError(_problem(error, address, numeric, port, owner)) from error
    return listening


def _resolve(address: str) -> tuple[int, str]:
    """The family and the numeric form. IPv4 for a name that has both, because IPv4 is what we
    open."""
    found = socket.getaddrinfo(address, None, type=socket.SOCK_STREAM)
    family, _, _, _, numeric = min(found, key=lambda info: info[0] != socket.AF_INET)
    return family, str(numeric[0])


def _problem(error: OSError, address: str, numeric: str, port: int, owner: str) -> Problem:
    detail = f"bind {address}:{port}: {error}"
    if error.errno == errno.EADDRINUSE:
        holder = port_owner(numeric, port)
        where = "" if address == "127.0.0.1" else f" on {_shown(address)}"
        return Problem(
            f"Local port {port} of {owner} is taken by {holder}{where}",
            "Stop that program, or choose another local_port in the servers file.",
            detail=detail,
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return Problem(
            f"Local port {port} of {owner} is not allowed", _not_allowed(port), detail=detail
        )
    reason = os.strerror(error.errno) if error.errno else str(error)
    return Problem(
        f"Local port {port} of {owner} cannot be opened",
        f"The system says: {reason}. Fix that, or choose another local_port in the servers file.",
        detail=detail,
    )


def _shown(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _not_allowed(port: int) -> str:
    if sys.platform == "win32":
        why = (
            "Another program uses it exclusively, or Windows reserves it (see netsh interface "
            "ipv4 show excludedportrange tcp). "
        )
    else:
        why = "Only the administrator can use ports below 1024. " if port < 1024 else ""
    return f"{why}Choose another local_port in the servers file, one above 1023."


def _no_such_address(address: str, owner: str, detail: str) -> Problem:
    return Problem(
        f"The bind_address {address} of {owner} is not an address of this computer",
        "Set it to localhost, or to an address that this computer has, in the servers file.",
        detail=detail,
    )
