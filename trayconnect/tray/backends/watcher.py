"""Finds the StatusNotifierItem host on the session bus, and its name."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from jeepney import DBusAddress, Message, MessageType, new_method_call
from jeepney.bus_messages import message_bus

from trayconnect.desktop.bus_connection import STEP_LIMIT, BusConnection, refusal
from trayconnect.tray.backends.dbus_objects import HOST_REGISTERED, WATCHER, WATCHER_PATH

_PROPERTIES = DBusAddress(WATCHER_PATH, WATCHER, "org.freedesktop.DBus.Properties")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bus:
    """What was found on the session bus."""

    is_there: bool = False
    watcher: str | None = None
    """The program that owns the watcher's name, if any."""
    host: bool = False
    """Whether a panel has registered with it to show items."""


def probe_bus(environ: Mapping[str, str] = os.environ) -> Bus:
    """Ask the session bus; takes milliseconds, at most `STEP_LIMIT` seconds."""
    return _Probe(environ).bus


class _Probe:
    """A connection for one question."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.bus = Bus()
        self._link = BusConnection(self, environ)
        self._link.later(STEP_LIMIT, self._link.stop)
        self._link.run()

    def connected(self) -> None:
        self.bus = Bus(is_there=True)
        self._link.send(message_bus.GetConnectionUnixProcessID(WATCHER), self._answered)

    def _answered(self, reply: Message | None) -> None:
        if reply is not None and reply.header.message_type is MessageType.method_return:
            self.bus = Bus(is_there=True, watcher=_program(reply.body[0]), host=True)
            request = ("Get", "ss", (WATCHER, HOST_REGISTERED))
            self._link.send(new_method_call(_PROPERTIES, *request), self._on_host_property)
        else:
            self._link.stop()

    def _on_host_property(self, reply: Message | None) -> None:
        if reply is not None and reply.header.message_type is MessageType.method_return:
            self.bus = replace(self.bus, host=bool(reply.body[0][1]))
        self._link.stop()

    def disconnected(self, reason: Exception) -> None:
        log.info("no session bus: %s", reason)
        self._link.stop()

    def signalled(self, message: Message) -> None:
        pass

    def called(self, message: Message) -> Message:
        return refusal(message)


def _program(pid: int) -> str:
    """The name of a process; a panel in a container has none that we could read."""
    try:
        return Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip()
    except OSError:
        return f"process {pid}"
