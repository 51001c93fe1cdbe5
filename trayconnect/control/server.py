"""The running app's end of the control socket."""

from __future__ import annotations

import logging
import threading
import time

from trayconnect.control.exchange import Exchange, Handler, Limits
from trayconnect.control.lock import InstanceLock
from trayconnect.control.transport import (
    ControlConnection,
    ControlListener,
    Transport,
    default_transport,
)
from trayconnect.core.errors import Problem, ProblemError

_log = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.5


class ControlServer:
    """Serves the commands of one user: each on a thread of its own, each bounded by `limits`.

    It takes the lock rather than its folder, since only the lock's holder may replace the socket.
    Started once, stopped once.
    """

    def __init__(
        self,
        lock: InstanceLock,
        handler: Handler,
        *,
        transport: Transport | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._lock = lock
        self._handler = handler
        self._transport = transport or default_transport()
        self._limits = limits or Limits()
        self._stopping = threading.Event()
        self._listener: ControlListener | None = None
        self._acceptor: threading.Thread | None = None
        self._guard = threading.Lock()
        self._served: dict[threading.Thread, Exchange] = {}

    def start(self) -> None:
        """Be reachable from now on. Raises `ProblemError`, and RuntimeError without the lock."""
        if not self._lock.held:
            raise RuntimeError("the instance lock must be held first")
        if self._listener or self._stopping.is_set():
            raise RuntimeError("a control server starts once")
        try:
            self._listener = self._transport.listen(self._lock.folder)
        except OSError as error:
            raise ProblemError(
                Problem(
                    "The control socket cannot be opened",
                    f"Check that {self._lock.folder} can be written to, and start again.",
                    detail=str(error),
                )
            ) from error
        self._acceptor = threading.Thread(
            target=self._accept, args=(self._listener,), name="tc-control", daemon=True
        )
        self._acceptor.start()

    def stop(self) -> None:
        """Be found no more, have those who wait answered, and join all threads; within a few
        seconds. The second call does nothing. Raises RuntimeError on a handler's thread, which
        it could only wait for in vain."""
        with self._guard:
            if threading.current_thread() in self._served:
                raise RuntimeError("a handler must leave stopping the server to another thread")
            if self._stopping.is_set():
                return
            self._stopping.set()
        if self._listener is None or self._acceptor is None:
            return
        self._listener.stop()
        self._acceptor.join()
        for step in (Exchange.cancel, Exchange.abort):
            with self._guard:
                threads = list(self._served)
                for exchange in self._served.values():
                    step(exchange)
            deadline = time.monotonic() + self._limits.stop_seconds
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
        self._listener.close()
        with self._guard:
            for thread in filter(threading.Thread.is_alive, self._served):
                _log.error("%s goes on although its request was cancelled", thread.name)

    def _accept(self, listener: ControlListener) -> None:
        while True:
            try:
                link = listener.accept()
            except OSError as error:
                _log.warning("Cannot accept a client: %s", error)
                if self._stopping.wait(_PAUSE_SECONDS):
                    return
                continue
            if link is None:
                return
            self._admit(link)

    def _admit(self, link: ControlConnection) -> None:
        exchange = Exchange(link, self._handler, self._limits)
        thread = threading.Thread(target=exchange.run, name="tc-control client", daemon=True)
        with self._guard:
            # Only threads that have ended are let go of, so that `stop` joins all the others.
            self._served = {t: served for t, served in self._served.items() if t.is_alive()}
            is_full = len(self._served) >= self._limits.clients
            if not is_full and _starts(thread):
                self._served[thread] = exchange
                return
        _log.warning("Hung up on a client: %d are being served", len(self._served))
        link.close()


def _starts(thread: threading.Thread) -> bool:
    try:
        thread.start()
    except RuntimeError as error:
        _log.warning("The system has no thread for a client: %s", error)
        return False
    return True
