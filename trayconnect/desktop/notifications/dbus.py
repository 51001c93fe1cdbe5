"""Notices over D-Bus: connects to the desktop's notification server for the first notice, and again
after the bus was lost."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping

from trayconnect.core.command import Command
from trayconnect.core.logs import LogOnce
from trayconnect.core.notices import Notice
from trayconnect.desktop.notifications.freedesktop import NotificationClient

logger = logging.getLogger(__name__)

_CLOSE_LIMIT = 6.0
"""Seconds that closing waits for a thread; longer than one step on the bus."""


class DBusNotifier:
    """`notifier.DesktopNotifier`. One thread, from the first notice on, which sleeps on the bus;
    `on_command` is called on it for a click, and must return at once."""

    def __init__(
        self,
        on_command: Callable[[Command], object],
        *,
        icon: str = "",
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._on_command = on_command
        self._icon = icon
        self._environ = environ
        self._complaints = LogOnce(logger, "notifications are dropped")
        self._lock = threading.Lock()
        self._client: NotificationClient | None = None
        self._threads: list[threading.Thread] = []
        self._closed = False

    def notify(self, notice: Notice) -> None:
        with self._lock:
            if self._closed:
                return
            if self._client is None:
                self._client = client = NotificationClient(
                    self._on_command,
                    self._over,
                    self._complaints,
                    icon=self._icon,
                    environ=self._environ,
                )
                try:
                    self._start(client)
                except RuntimeError as error:  # no more threads
                    self._client = None
                    self._complaints.report(str(error))
                    return
            self._client.notify(notice)

    def withdraw(self, tag: str) -> None:
        with self._lock:
            if self._client is not None:
                self._client.withdraw(tag)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            client, self._client = self._client, None
            threads, self._threads = self._threads, []
        if client is not None:
            client.stop()
        for thread in threads:
            thread.join(_CLOSE_LIMIT)
            if thread.is_alive():
                logger.warning("%s did not end within %g s", thread.name, _CLOSE_LIMIT)

    def _start(self, client: NotificationClient) -> None:
        """The caller holds the lock."""
        thread = threading.Thread(target=client.run, name="tc-notify", daemon=True)
        thread.start()
        self._threads = [*(one for one in self._threads if one.is_alive()), thread]

    # --- on the bus thread ---

    def _over(self, client: NotificationClient) -> None:
        with self._lock:
            if self._client is client:
                self._client = None
