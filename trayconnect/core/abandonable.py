"""Bounded waiting for calls that cannot be interrupted, such as a name lookup."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from trayconnect.core.cancellation import CancelToken

T = TypeVar("T")
Address = tuple[socket.AddressFamily, tuple[Any, ...]]


class Background(Generic[T]):
    """Runs `call` on another thread. Several callers may wait for the result.

    For calls on a link: they have time limits of their own, and they end as soon as the link is
    closed, even if nobody waits any more."""

    def __init__(self, call: Callable[[], T], name: str) -> None:
        self._call = call
        self._outcome: tuple[T] | Exception | None = None
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def result(self, cancel: CancelToken, timeout: float | None = None) -> T:
        """Wait for the result; give up waiting after `cancel.set`.

        Raises TimeoutError after `timeout` seconds, `Cancelled`, and what the call raises."""
        with cancel.releasing(self._woken.set):
            self._woken.wait(timeout)
        outcome = self._outcome
        if outcome is None:
            raise TimeoutError
        self._thread.join()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome[0]

    def join(self, timeout: float) -> None:
        """Wait for the end of the thread, at most so many seconds."""
        self._thread.join(timeout)

    @property
    def is_over(self) -> bool:
        """Whether the call has returned or raised."""
        return self._outcome is not None

    def _run(self) -> None:
        try:
            self._outcome = (self._call(),)
        except Exception as error:  # noqa: BLE001 - raised again on the thread that waits
            self._outcome = error
        finally:
            self._woken.set()


def abandonable(call: Callable[[], T], name: str, cancel: CancelToken) -> T:
    """Run `call` in a thread and return its result; give up waiting after `cancel.set`.

    Raises `Cancelled`, and what `call` raises."""
    return Background(call, name).result(cancel)


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
