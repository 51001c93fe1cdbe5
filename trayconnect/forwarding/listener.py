"""Accepts connections on a session's local ports while there is no link to do so."""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
from collections.abc import Sequence
from contextlib import ExitStack

from trayconnect.core.link import OnAccepted

_log = logging.getLogger(__name__)

_PAUSE = 0.25
"""Seconds to leave new connections in the kernel's queue when descriptors run out."""
_JOIN_LIMIT = 5.0


class LocalListener:
    """Has a thread from `start` to `stop`, on which `accepted` is called. The caller closes the
    listening sockets, each with the number of its forward, after `close`; it calls one method at a
    time.

    Raises OSError when the system has no descriptors left."""

    def __init__(
        self, name: str, sockets: Sequence[tuple[int, socket.socket]], accepted: OnAccepted
    ) -> None:
        self._name = name
        self._accepted = accepted
        self._stopping = threading.Event()
        self._is_failing = False
        self._thread: threading.Thread | None = None
        with ExitStack() as resources:
            self._selector = resources.enter_context(selectors.DefaultSelector())
            self._wake_receiver, self._wake_sender = socket.socketpair()
            for end in (self._wake_receiver, self._wake_sender):
                resources.enter_context(end).setblocking(False)
            self._selector.register(self._wake_receiver, selectors.EVENT_READ)
            for number, listening in sockets:
                self._selector.register(listening, selectors.EVENT_READ, (number, listening))
            self._resources = resources.pop_all()

    def start(self) -> None:
        """Raises RuntimeError when the system has no threads left."""
        if self._thread is None:
            self._stopping.clear()
            thread = threading.Thread(
                target=self._run, name=f"tc-listener {self._name}", daemon=True
            )
            thread.start()
            self._thread = thread

    def stop(self) -> None:
        """Accept no more; the connections wait in the kernel's queue."""
        thread, self._thread = self._thread, None
        if thread is not None:
            # In this order: the thread takes the byte after it has seen the flag. One that came
            # later would stay, and keep the next thread busy.
            self._wake_sender.send(b"\0")
            self._stopping.set()
            thread.join(_JOIN_LIMIT)

    def close(self) -> None:
        """`stop` for good; may be called twice."""
        self.stop()
        self._resources.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            for key, _ in self._selector.select():
                if key.data is not None:
                    self._accept(*key.data)
        with contextlib.suppress(BlockingIOError):
            self._wake_receiver.recv(4096)

    def _accept(self, number: int, listening: socket.socket) -> None:
        try:
            client, _ = listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionError):
            return  # the client hung up before it was accepted
        except OSError as error:
            # Out of descriptors or memory. The socket stays readable: without a pause this would
            # spin until something is freed.
            if not self._is_failing:
                self._is_failing = True
                _log.warning("new local connections have to wait: %s", error)
            self._stopping.wait(_PAUSE)
            return
        self._is_failing = False
        self._accepted(number, client)
