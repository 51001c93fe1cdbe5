"""Resolves a host's addresses within a time limit."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

from trayconnect.core.abandonable import Background
from trayconnect.core.cancellation import CancelToken

Address = tuple[socket.AddressFamily, tuple[Any, ...]]


def look_up(
    host: str,
    port: int,
    timeout: float,
    cancel: CancelToken,
    family: int = socket.AF_UNSPEC,
) -> list[Address]:
    """The TCP addresses of a host, in the system's order.

    Raises OSError, TimeoutError after `timeout` seconds, and `Cancelled`. The system's resolver has
    no time limit: its thread may outlive this call until the resolver gives up."""
    with suppress(OSError, UnicodeError):
        return _addresses(host, port, family, socket.AI_NUMERICHOST)

    def ask() -> list[Address]:
        try:
            return _addresses(host, port, family)
        except UnicodeError as error:  # a label that is not allowed in a name
            raise OSError(str(error)) from error

    return Background(ask, f"tc-resolve {host}").result(cancel, timeout)


def _addresses(host: str, port: int, family: int, flags: int = 0) -> list[Address]:
    rows = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=flags)
    return [(row[0], row[4]) for row in rows]
