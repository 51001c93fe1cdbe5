"""The short health check of a Jupyter that has answered a complete one: one request over a
connection that was proven to lead to it, and no search.

As long as that connection lives, so does the process that accepted it. A complete check, which also
opens a connection, follows a short one that fails, a failed request of a browser, a command of the
user, and `LASTING`."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from trayconnect.core.cancellation import CancelToken
from trayconnect.services.dialling import ProbeError
from trayconnect.services.held_connection import HeldConnection
from trayconnect.services.http_client import Response
from trayconnect.services.jupyter.kernels import KernelWatch
from trayconnect.services.jupyter.model import Health
from trayconnect.services.jupyter.readiness import (
    STATUS_PATH,
    TIMEOUT,
    ProbeTarget,
    jupyter_version,
)
from trayconnect.services.protocol import Level

LASTING = 300.0
"""Seconds for which the result of a complete check counts, if short ones confirm it: another
Jupyter may have been started, and new connections may fail where an old one works."""


@dataclass(slots=True)
class ShortCheck:
    """Of one Jupyter. For one thread."""

    connection: HeldConnection
    base: str
    """The URL of its base, through the local port."""
    target: ProbeTarget
    health: Health
    """The result of the complete check."""
    watch: KernelWatch
    since: float = field(default_factory=time.monotonic)

    @classmethod
    def after(
        cls,
        authority: str,
        target: ProbeTarget,
        secure: bool,
        health: Health,
        watch: KernelWatch,
        cancel: CancelToken,
    ) -> ShortCheck | None:
        """Open the connection, through our listener at `authority`; None if that fails. The
        listener at the target must be proven just now if the target has a token. Raises
        `Cancelled`."""
        base = f"{'https' if secure else 'http'}://{authority}{target.base_url}"
        try:
            connection = HeldConnection(base, timeout=TIMEOUT, cancel=cancel, verify=False)
        except ProbeError:
            return None
        return cls(connection, base, target, health, watch)

    def __call__(self) -> Health | None:
        """The Jupyter's health now; None if only a complete check can tell. Raises `Cancelled`."""
        if time.monotonic() > self.since + LASTING:
            return None
        is_logged_in = self.health.level is Level.LOGGED_IN
        try:
            answer = self._get(STATUS_PATH if is_logged_in else "api")
        except ProbeError:
            return None
        if not is_logged_in:
            version = jupyter_version(answer)
            return self.health if version and version == (self.target.version or version) else None
        if answer.status != HTTPStatus.OK:
            return None
        kernels = self.watch.check(self._get, answer.body)
        if kernels is None and not self.connection.is_open:
            return None
        return replace(self.health, kernels=kernels)

    def close(self) -> None:
        self.connection.close()

    def _get(self, path: str) -> Response:
        url = f"{self.base}{path}"
        return self.connection.get(url, timeout=TIMEOUT, token=self.target.token)
