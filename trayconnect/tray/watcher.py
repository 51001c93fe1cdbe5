"""Looks once whether a tray icon can be shown on this Linux desktop."""

from __future__ import annotations

import enum
import logging
import os
from collections.abc import Mapping

from jeepney import Message, MessageType
from jeepney.bus_messages import message_bus

from trayconnect.dbus.link import STEP_LIMIT, Link
from trayconnect.errors import Problem
from trayconnect.tray.sni_interfaces import WATCHER

log = logging.getLogger(__name__)


class Finding(enum.Enum):
    NO_BUS = "no session bus"
    NO_WATCHER = "no tray on the session bus"
    WATCHER = "a tray on the session bus"


def look(environ: Mapping[str, str] = os.environ) -> Finding:
    """Ask the session bus; takes milliseconds, at most `STEP_LIMIT` seconds."""
    return _Look(environ).finding


class _Look:
    """A link that lives for one question."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.finding = Finding.NO_BUS
        self._link = Link(self, environ)
        self._link.later(STEP_LIMIT, self._link.stop)
        self._link.run()

    def connected(self) -> None:
        self.finding = Finding.NO_WATCHER
        self._link.send(message_bus.NameHasOwner(WATCHER), self._answered)

    def _answered(self, reply: Message | None) -> None:
        if reply is not None and reply.header.message_type is MessageType.method_return:
            self.finding = Finding.WATCHER if reply.body[0] else Finding.NO_WATCHER
        self._link.stop()

    def disconnected(self, reason: Exception) -> None:
        log.info("no session bus: %s", reason)
        self._link.stop()

    def signalled(self, message: Message) -> None:
        pass

    def called(self, message: Message) -> Message:
        raise NotImplementedError("nobody knows this connection")


def problem_of(finding: Finding, environ: Mapping[str, str]) -> Problem | None:
    """Why there will be no icon; None if there is one, or a panel may yet start.

    A login starts the panel and us in any order, but a bus without a screen (an SSH login, a
    service) has no panel to come."""
    advice = "Start it from a desktop session, or without an icon: trayconnect run --no-tray"
    if finding is Finding.NO_BUS:
        return Problem("There is no session bus to show a tray icon with", advice)
    if finding is Finding.NO_WATCHER and not (
        environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")
    ):
        return Problem("There is no desktop to show a tray icon on", advice)
    return None
