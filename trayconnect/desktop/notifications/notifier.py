"""Notices on this desktop: with buttons over D-Bus, as plain text elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from trayconnect.core.command import Command
from trayconnect.core.notices import Notifier
from trayconnect.desktop.notifications.plain import (
    CallableDelivery,
    OsascriptDelivery,
    PlainNotifier,
)


class DesktopNotifier(Notifier, Protocol):
    def close(self) -> None:
        """Remove the notices from the screen where possible, and end, in bounded time; may be
        called twice."""
        ...


def make_notifier(
    on_command: Callable[[Command], object],
    icon: Path,
    tray_notify: Callable[[str, str], object] | None = None,
) -> DesktopNotifier:
    """For this platform.

    `on_command` gets the command of a clicked button, on a thread of its own. `icon` is a picture
    of the program. `tray_notify(message, title)` is used on Windows, where the tray icon shows
    notices."""
    if tray_notify is not None:
        return PlainNotifier(CallableDelivery(tray_notify))
    if sys.platform == "darwin":
        return PlainNotifier(OsascriptDelivery())
    else:  # noqa: RET505 - mypy calls code after a platform's return unreachable
        from trayconnect.desktop.notifications.dbus import DBusNotifier

        return DBusNotifier(on_command, icon=icon.as_uri())
