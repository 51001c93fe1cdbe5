"""Notices over D-Bus: starts the talk with the desktop's notification server when there is
something to say, and again when the bus was lost."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Mapping

from trayconnect.core.command import Command
from trayconnect.core.log_once import LogOnce
from trayconnect.core.notices import Notice
from trayconnect.desktop.notifications.freedesktop import NotificationTalk

logger = logging.getLogger(__name__)

_CLOSE_LIMIT = 6.0
"""Seconds that closing waits for a thread; more than a step on the bus may take."""


class DBusNotifier:
    """`desktop.notify.DesktopNotifier`. One thread, from the first notice on, which sleeps on the
    bus; a click is carried out on a thread of its own, so that it may take its time."""

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
        self._talk: NotificationTalk | None = None
        self._threads: list[threading.Thread] = []
        self._closed = False

    def notify(self, notice: Notice) -> None:
        with self._lock:
            if self._closed:
                return
            if self._talk is None:
                self._talk = talk = NotificationTalk(
                    self._click,
                    self._over,
                    self._complaints,
                    icon=self._icon,
                    environ=self._environ,
                )
                try:
                    self._start(talk.run, "tc-notify")
                except RuntimeError as error:  # no more threads
                    self._talk = None
                    self._complaints.report(str(error))
                    return
            self._talk.notify(notice)

    def withdraw(self, tag: str) -> None:
        with self._lock:
            if self._talk is not None:
                self._talk.withdraw(tag)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            talk, self._talk = self._talk, None
            threads, self._threads = self._threads, []
        if talk is not None:
            talk.stop()
        for thread in threads:
            thread.join(_CLOSE_LIMIT)
            if thread.is_alive():
                logger.warning("%s did not end within %g s", thread.name, _CLOSE_LIMIT)

    def _start(self, work: Callable[[], object], name: str) -> None:
        """With the lock held."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    # --- on the talk's thread ---

    def _over(self, talk: NotificationTalk) -> None:
        with self._lock:
            if self._talk is talk:
                self._talk = None

    def _click(self, command: Command) -> None:
        def carry_out() -> None:
            try:
                self._on_command(command)
            except Exception:
                logger.exception("%s of %s failed", command.name, command.server)

        with self._lock:
            if not self._closed:
                with contextlib.suppress(RuntimeError):  # no more threads
                    self._start(carry_out, "tc-notify-command")
