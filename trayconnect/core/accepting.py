"""Listening sockets whose connections are accepted on the thread of a link."""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections.abc import Sequence

from trayconnect.core.event_loop import READ, EventLoop, tell
from trayconnect.core.link import OnAccepted
from trayconnect.core.logs import LogOnce

log = logging.getLogger(__name__)

_ACCEPT_AT_ONCE = 64
_ACCEPT_PAUSE = 0.25
"""Seconds to leave new connections in the kernel's queue when descriptors run out."""
_RELEASE_SECONDS = 5.0


class Listening:
    """`accept` and `release` are called from any thread."""

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop
        self._sockets: dict[socket.socket, int] = {}
        """And their numbers; less than 0: it is not watched now."""
        self._shortage = LogOnce(log, "new local connections have to wait")
        self._has_ended = False

    def end(self) -> None:
        """Accept no more, for good. On the loop's thread."""
        self._has_ended = True
        for sock in tuple(self._sockets):
            self._ignore(sock)

    def accept(
        self, listening: Sequence[tuple[int, socket.socket]], on_accepted: OnAccepted
    ) -> None:
        """See `link.Carrier`."""
        self._loop.run(lambda: self._accept_from(listening, on_accepted))

    def release(self) -> None:
        """See `link.Carrier`."""

        def release() -> None:
            for sock in tuple(self._sockets):
                self._ignore(sock)

        self._loop.run_and_wait(release, _RELEASE_SECONDS)

    def _accept_from(
        self, listening: Sequence[tuple[int, socket.socket]], on_accepted: OnAccepted
    ) -> None:
        if self._has_ended:
            return
        for number, sock in listening:
            self._listen(number, sock, on_accepted)

    def _listen(self, number: int, sock: socket.socket, on_accepted: OnAccepted) -> None:
        def on_event(_events: int) -> None:
            self._accept(number, sock, on_accepted)

        if sock.fileno() < 0:  # closed
            return
        try:
            self._loop.watch(sock, 0, READ, on_event)
        except OSError as error:
            self._shortage.report(str(error))
            self._listen_later(number, sock, on_accepted)
        else:
            self._sockets[sock] = number

    def _listen_later(self, number: int, sock: socket.socket, on_accepted: OnAccepted) -> None:
        self._sockets[sock] = -1

        def again() -> None:
            if self._sockets.get(sock) == -1:
                del self._sockets[sock]
                self._listen(number, sock, on_accepted)

        self._loop.call_at(time.monotonic() + _ACCEPT_PAUSE, again)

    def _ignore(self, sock: socket.socket) -> None:
        if self._sockets.pop(sock) >= 0:
            with contextlib.suppress(OSError, ValueError, KeyError):
                self._loop.watch(sock, READ, 0, lambda _: None)

    def _accept(self, number: int, sock: socket.socket, on_accepted: OnAccepted) -> None:
        # Most of the time there is one, and to look for the next costs as much as to take it. In a
        # turn with more to do, there may be more.
        is_alone = self._loop.is_last and not self._shortage.is_failing
        for _ in range(1 if is_alone else _ACCEPT_AT_ONCE):
            if sock not in self._sockets:  # released since the event
                return
            try:
                client, _ = sock.accept()
            except (BlockingIOError, InterruptedError):
                self._shortage.settle()
                return
            except ConnectionError:
                continue  # it hung up before it was accepted
            except OSError as error:
                # Out of descriptors or memory. The socket stays readable: without a pause this
                # would spin until something is freed.
                self._shortage.report(str(error))
                self._ignore(sock)
                self._listen_later(number, sock, on_accepted)
                return
            if not tell(on_accepted, number, client):
                client.close()
