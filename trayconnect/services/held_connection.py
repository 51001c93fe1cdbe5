"""An HTTP connection that stays open between requests."""

from __future__ import annotations

import threading
import time

from trayconnect.core.cancellation import CancelToken
from trayconnect.services.dialling import Failure, Place, ProbeError, dial, released, wake
from trayconnect.services.http_client import Response, ask


class HeldConnection:
    """For one thread, but `close`. Ends with the first request that fails, or whose answer ends
    it."""

    def __init__(self, url: str, *, timeout: float, cancel: CancelToken, verify: bool) -> None:
        """Connect to where `url` leads; see `http_client.request`. `cancel.set` ends it. Raises
        `ProbeError`, `Cancelled` and ValueError."""
        self._place = Place.of(url, verify=verify)
        self._cancel = cancel
        self._lock = threading.Lock()
        self._is_asking = False
        self._is_over = False
        self._sock = dial(self._place, time.monotonic() + timeout, cancel)
        cancel.add(self.close)

    @property
    def is_open(self) -> bool:
        """Whether it may carry another request. The server may have closed it."""
        return not self._is_over

    def get(self, url: str, *, timeout: float, token: str = "") -> Response:
        """GET `url`, of the same origin. Raises `ProbeError` and `Cancelled`."""
        with self._lock:
            if self._is_over:
                self._cancel.check()
                raise ProbeError(Failure.CLOSED, "the connection was closed")
            self._is_asking = True
        stays = False
        try:
            deadline = time.monotonic() + timeout
            with released(self._sock, self._cancel):
                answer = ask(self._place, self._sock, "GET", url, deadline, token=token, keep=True)
            stays = answer.stays
            return answer
        finally:
            with self._lock:
                self._is_asking = False
            if not (stays and self.is_open):
                self.close()

    def close(self) -> None:
        """From any thread; ends a request that is under way. May be called twice."""
        with self._lock:
            self._is_over = True
            if self._is_asking:
                wake(self._sock)  # the thread that asks closes it
            else:
                self._sock.close()
        self._cancel.remove(self.close)
