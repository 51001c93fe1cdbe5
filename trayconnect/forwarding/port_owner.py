"""The program that holds a local TCP port, if the system reports it."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from trayconnect.core.abandonable import Background
from trayconnect.core.cancellation import CancelToken
from trayconnect.forwarding.peer_uid import socket_uid

_log = logging.getLogger(__name__)

LIMIT = 3.0
"""Seconds: the system is asked for the files of every process, and some file systems hang."""
_lock = threading.Lock()
_search: Background[PortOwner] | None = None

_WILDCARDS = frozenset(("0.0.0.0", "::"))


@dataclass(frozen=True, slots=True)
class PortOwner:
    """Who holds a port; unknown values are None or empty."""

    pid: int | None = None
    program: str = ""
    user: str = ""

    def __str__(self) -> str:
        """For a sentence: "jupyter-lab (PID 4242)"."""
        if self.pid == os.getpid():
            return f"trayconnect itself (PID {self.pid})"
        if self.pid is not None:
            return f"{self.program or 'a program'} (PID {self.pid})"
        return f"a program of the user {self.user}" if self.user else "another program"


class HeldPort(NamedTuple):
    """A bound TCP socket, and its process, if the system reports it. `peer`: the other end of a
    connection."""

    address: str
    port: int
    listening: bool
    pid: int | None
    peer: tuple[str, int] | None = None


def port_owner(address: str, port: int) -> PortOwner:
    """Who holds `port`, so that it cannot be bound on the numeric `address`. Unknown after `LIMIT`
    seconds, and while an earlier search hangs. Never raises."""
    global _search
    with _lock:
        if _search is not None and not _search.is_over:
            return PortOwner()
        try:
            _search = Background(lambda: _find_owner(address, port), "tc-port-owner")
            return _search.result(CancelToken(), LIMIT)
        except Exception as error:  # noqa: BLE001 - the message matters more than the name in it
            _log.debug("cannot find out who holds port %s: %r", port, error)
            return PortOwner()


def _find_owner(address: str, port: int) -> PortOwner:
    import psutil

    holder = find_holder(_held_ports(), address, port)
    if holder is None:
        return PortOwner()
    if holder.pid is None:
        return PortOwner(user=_user_name(holder))
    try:
        return PortOwner(holder.pid, psutil.Process(holder.pid).name())
    except psutil.Error:  # the process has just ended, or belongs to another user
        return PortOwner(holder.pid)


def find_holder(ports: Iterable[HeldPort], address: str, port: int) -> HeldPort | None:
    """The socket that prevents binding `port` of `address`: a listening one if there is."""
    found = [held for held in ports if held.port == port and _meets(held.address, address)]
    return min(found, key=lambda held: (not held.listening, held.address != address), default=None)


def _meets(held: str, address: str) -> bool:
    """Whether a socket bound to `held` prevents binding `address`: both are equal, or one is every
    address of a family. `::` may include every IPv4 address."""
    held = held.removeprefix("::ffff:")
    if held == address:
        return True
    if (":" in held) == (":" in address):
        return not _WILDCARDS.isdisjoint((held, address))
    return held == "::"


def _held_ports() -> Iterator[HeldPort]:
    import psutil

    for found, pid in _connections():
        if found.laddr and found.status != psutil.CONN_TIME_WAIT:
            listening = found.status == psutil.CONN_LISTEN
            peer = (found.raddr.ip, found.raddr.port) if found.raddr else None
            # 0 is no program: Windows names it where it knows no process.
            yield HeldPort(found.laddr.ip, found.laddr.port, listening, pid or None, peer)


if sys.platform == "darwin":

    def _connections() -> Iterator[tuple[Any, int | None]]:
        """The sockets of our own processes: macOS reports others' only to root."""
        import psutil

        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                yield from ((found, process.pid) for found in process.net_connections("tcp"))
else:

    def _connections() -> Iterator[tuple[Any, int | None]]:
        """With the process, unless another user owns it (Linux)."""
        import psutil

        yield from ((found, found.pid) for found in psutil.net_connections("tcp"))


if sys.platform == "linux":
    import pwd

    def _user_name(held: HeldPort) -> str:
        uid = socket_uid((held.address, held.port), held.peer)
        if uid is None:
            return ""
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return str(uid)
else:

    def _user_name(held: HeldPort) -> str:  # noqa: ARG001
        return ""
