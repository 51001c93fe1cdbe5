"""Accepts connections on a session's local ports, on one thread."""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack

_log = logging.getLogger(__name__)

_PAUSE = 0.25
"""Seconds to leave new connections in the kernel's queue when descriptors run out."""
_JOIN_LIMIT = 5.0

Accepted = Callable[[int, socket.socket], None]
"""Gets the number of the forward and the new socket. Runs on the listener's thread: must be quick,
and must not raise."""

Tick = Callable[[], float | None]
"""Does the work that is due, and returns the seconds until the next call; None: only after an
event."""


class LocalListener:
    """Owns the listening sockets, each with the number of its forward, until `close`.

    Raises OSError or RuntimeError, and owns nothing, when the system has no descriptors or threads
    left."""

    def __init__(
        self,
        name: str,
        sockets: Sequence[tuple[int, socket.socket]],
        accepted: Accepted,
        tick: Tick,
    ) -> None:
        self._accepted = accepted
        self._tick = tick
        self._closing = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name=f"tc-listener {name}", daemon=True)
        with ExitStack() as resources:
            self._selector = resources.enter_context(selectors.DefaultSelector())
            self._wake_receiver, self._wake_sender = socket.socketpair()
            for end in (self._wake_receiver, self._wake_sender):
                resources.enter_context(end).setblocking(False)
            self._selector.register(self._wake_receiver, selectors.EVENT_READ)
            for number, listening in sockets:
                self._selector.register(listening, selectors.EVENT_READ, (number, listening))
            self._thread.start()
            for _, listening in sockets:
                resources.enter_context(listening)
            self._resources = resources.pop_all()

    def wake(self) -> None:
        """Have `tick` called soon. From any thread."""
        with contextlib.suppress(OSError):  # full, so the thread wakes anyway; or closed
            self._wake_sender.send(b"\0")

    def close(self) -> None:
        """Unbind and join; may be called twice."""
        self._closing.set()
        self.wake()
        self._thread.join(_JOIN_LIMIT)
        self._resources.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            for key, _ in self._selector.select(self._tick()):
                if key.data is None:
                    self._wake_receiver.recv(4096)
                else:
                    self._accept(*key.data)

    def _accept(self, number: int, listening: socket.socket) -> None:
        try:
            client, _ = listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):
            return  # the client hung up before it was accepted
        except OSError as error:
            # Out of descriptors or memory. The socket stays readable: without a pause this would
            # spin until something is freed.
            if not self._failing:
                self._failing = True
                _log.warning("new local connections have to wait: %s", error)
            self._closing.wait(_PAUSE)
            return
        self._failing = False
        self._accepted(number, client)
