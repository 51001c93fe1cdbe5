"""Waits for the server behind a ProxyCommand, and shows the command's messages meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from trayconnect.core.errors import ProblemError, Recovery
from trayconnect.core.questions import ProgressDisplay
from trayconnect.ssh import connection_problems, out_of_band, proxy_problems
from trayconnect.ssh.proxy_command import ProxyCommand
from trayconnect.ssh.target import LoginTarget

_LOOK_SECONDS = 0.25
"""Seconds between two updates of the message."""


class ProxyWait:
    """The wait for the server's identification, on the attempt's thread."""

    def __init__(self, target: LoginTarget, proxy: ProxyCommand, display: ProgressDisplay) -> None:
        self._target = target
        self._proxy = proxy
        self._display = display
        self._limit = target.connect_timeout
        self._last_line = ""
        self.waited_for_human = False
        """Whether it waited so long for a visit to a page that a human must have come."""

    def wait_greeting(self, greeted: threading.Event, timeout: float) -> bool:
        """As `greeted.wait(timeout)`, or longer while a page must be visited."""
        began = now = time.monotonic()
        asked_at: float | None = None
        shown: Callable[[], None] | None = None
        try:
            while not greeted.wait(min(_LOOK_SECONDS, max(0.0, began + timeout - now))):
                now = time.monotonic()
                if now >= began + timeout:
                    return False
                self._say()
                request = self._proxy.request
                if request and asked_at is None:
                    asked_at = now
                    self._limit = timeout = max(timeout, out_of_band.HUMAN_SECONDS)
                if (
                    asked_at is not None
                    and shown is None
                    and now >= asked_at + out_of_band.SHOW_SECONDS
                ):
                    source = f"The ProxyCommand ({self._proxy.name}) says"
                    request = self._proxy.request
                    shown = self._display.show(out_of_band.question(self._target, source, request))
            return True
        finally:
            if shown is not None and asked_at is not None:
                waited = time.monotonic() - asked_at
                self.waited_for_human = (
                    waited >= out_of_band.SHOW_SECONDS + out_of_band.NOBODY_SECONDS
                )
                shown()
            if self._last_line:
                self._display.say("")

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """If the command failed, raise its problem instead of the error that it caused."""
        try:
            yield
        except ProblemError as error:
            explained = self._explain(error)
            if explained is None:
                raise
            raise explained from error

    def _explain(self, error: ProblemError) -> ProblemError | None:
        ended = self._proxy.ended(connecting=True)
        if ended is not None:
            # It may open the page each time.
            recovery = Recovery.USER_ACTION if self.waited_for_human else ended.problem.recovery
            return ProblemError(replace(ended.problem, recovery=recovery))
        if not isinstance(error, connection_problems.SilentError):
            return None
        return proxy_problems.silent(
            self._target,
            self._proxy.name,
            self._limit,
            self._proxy.last_lines,
            asked=bool(self._proxy.request),
        )

    def _say(self) -> None:
        lines = self._proxy.last_lines
        if lines and lines[-1] != self._last_line:
            self._last_line = lines[-1]
            self._display.say(f"{self._proxy.name}: {self._last_line}")
