"""Binding of local ports and sockets, with user-facing errors."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from trayconnect.core.endpoints import Endpoint, TcpEndpoint
from trayconnect.core.errors import Problem, ProblemError
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
                # Connections of an earlier run may be in TIME_WAIT; they must not prevent binding.
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


_ASK_SECONDS = 1.0
_ELSEWHERE = "Choose another local_socket in the servers file."

if sys.platform == "win32":

    def bind_unix(path: Path, owner: str) -> tuple[socket.socket, Callable[[], None]]:
        """Raises `ProblemError`: Python has no UNIX sockets on Windows."""
        raise ProblemError(
            Problem(
                f"Local socket {path} of {owner} is not available on Windows",
                "Choose a local_port instead in the servers file.",
            )
        )

else:

    def bind_unix(path: Path, owner: str) -> tuple[socket.socket, Callable[[], None]]:
        """A listening socket, non-blocking, that only this user can connect to (0600), and a
        function that removes its file while the socket is open. A missing folder is made (0700).

        A socket file with no listener is what a killed program left; it is replaced. Any other file
        is kept. `owner` is the name of the entry that wants the socket. Raises `ProblemError`."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with contextlib.suppress(FileExistsError):
                path.parent.mkdir(mode=0o700)
            _make_room(path, owner)
            listening.bind(os.fspath(path))
            # Nobody can connect before `listen`, so no umask is needed, which would be
            # process-wide.
            path.chmod(0o600)
            identity = _identity(path)
            listening.listen(_BACKLOG)
            listening.setblocking(False)
        except OSError as error:
            listening.close()
            raise ProblemError(_unix_problem(error, path, owner)) from error
        except BaseException:
            listening.close()
            raise

        def remove() -> None:
            # After the socket is closed, its inode may belong to another file.
            with contextlib.suppress(OSError):
                if _identity(path) == identity:
                    path.unlink()

        return listening, remove

    def _make_room(path: Path, owner: str) -> None:
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise ProblemError(
                Problem(
                    f"Local socket {path} of {owner} is a file already, and not a socket",
                    f"trayconnect does not touch it. {_ELSEWHERE}",
                )
            )
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(_ASK_SECONDS)
            try:
                asking.connect(os.fspath(path))
            except ConnectionRefusedError:
                path.unlink()
                return
            except (BlockingIOError, TimeoutError):
                pass  # there is a listener, and it is busy
        raise ProblemError(
            Problem(
                f"Local socket {path} of {owner} is taken by another program",
                f"Stop that program, or: {_ELSEWHERE[0].lower()}{_ELSEWHERE[1:]}",
            )
        )

    def _identity(path: Path) -> tuple[int, int]:
        found = path.lstat()
        return found.st_dev, found.st_ino

    def _unix_problem(error: OSError, path: Path, owner: str) -> Problem:
        if isinstance(error, FileNotFoundError):
            advice = f"The folder above {path.parent} is missing: make it. Or: {_ELSEWHERE}"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            advice = f"You may not write to the folder {path.parent}. {_ELSEWHERE}"
        elif error.errno is None or error.errno == errno.ENAMETOOLONG:
            # Python's own message says it, without an errno.
            advice = f"The path is too long for this system. {_ELSEWHERE}"
        else:
            reason = os.strerror(error.errno)
            advice = f"The system says: {reason}. Fix that, or choose another local_socket."
        return Problem(
            f"Local socket {path} of {owner} cannot be opened", advice, detail=str(error)
        )
