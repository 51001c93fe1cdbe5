"""Notifications over D-Bus (Desktop Notifications Specification 1.2)."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping
from html import escape
from typing import Any

from trayconnect.desktop.notify import DeliveryError
from trayconnect.ports import Urgency

_LIMIT = 5.0
_LOGIN_LIMIT = 2.0
_NAME = "org.freedesktop.Notifications"
_PATH = "/org/freedesktop/Notifications"
_LEVELS = {Urgency.NORMAL: 1, Urgency.CRITICAL: 2}


class DBusDelivery:
    """One connection to the session bus, kept: GNOME Shell withdraws the notifications of a
    sender that leaves the bus. It is made anew after any failure."""

    def __init__(
        self, icon: str = "network-server", environ: Mapping[str, str] = os.environ
    ) -> None:
        self._icon = icon
        self._environ = environ
        self._lock = threading.Lock()
        self._interrupted = False
        self._socket: socket.socket | None = None
        self._bus: Any = None
        self._has_markup = False

    def send(self, title: str, body: str, urgency: Urgency) -> None:
        # Imported here: the package is there on Linux only.
        from jeepney import DBusErrorResponse

        try:
            if self._bus is None:
                self._connect()
            self._call(
                "Notify",
                "susssasa{sv}i",
                (
                    "trayconnect",
                    0,  # replaces none
                    self._icon,
                    title,
                    escape(body, quote=False) if self._has_markup else body,
                    [],
                    {
                        "urgency": ("y", _LEVELS[urgency]),
                        "desktop-entry": ("s", "trayconnect"),
                    },
                    -1,  # the server decides how long
                ),
            )
        except DBusErrorResponse as error:
            self.close()
            raise DeliveryError(f"{error.name}: {error.data}") from error
        except (OSError, RuntimeError, ValueError, LookupError) as error:
            self.close()
            raise DeliveryError(str(error) or repr(error)) from error

    def interrupt(self) -> None:
        with self._lock:
            self._interrupted = True
            self._shut()

    def close(self) -> None:
        with self._lock:
            bus, self._bus = self._bus, None
            opened, self._socket = self._socket, None
        if bus is not None:
            bus.close()
        elif opened is not None:
            opened.close()

    def _connect(self) -> None:
        from jeepney.bus import get_bus
        from jeepney.io.blocking import DBusConnection, prep_socket

        opened = prep_socket(get_bus(session_bus_address(self._environ)), timeout=_LOGIN_LIMIT)
        opened.settimeout(_LIMIT)
        with self._lock:
            self._socket = opened
            if self._interrupted:
                raise ConnectionAbortedError("closing")
        # Making the connection says Hello and waits for the reply without a limit.
        guard = threading.Timer(_LIMIT, self._shut)
        guard.name = "tc-notify-guard"
        guard.daemon = True
        guard.start()
        try:
            self._bus = DBusConnection(opened)
        finally:
            guard.cancel()
            guard.join()
        (capabilities,) = self._call("GetCapabilities", None, ())
        self._has_markup = "body-markup" in capabilities

    def _call(self, method: str, signature: str | None, body: tuple[Any, ...]) -> tuple[Any, ...]:
        from jeepney import DBusAddress, new_method_call
        from jeepney.wrappers import unwrap_msg

        address = DBusAddress(_PATH, bus_name=_NAME, interface=_NAME)
        message = new_method_call(address, method, signature, body)
        reply: tuple[Any, ...] = unwrap_msg(self._bus.send_and_get_reply(message, timeout=_LIMIT))
        return reply

    def _shut(self) -> None:
        opened = self._socket
        if opened is not None:
            try:
                opened.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # already gone


def session_bus_address(environ: Mapping[str, str]) -> str:
    """The session bus, or the user bus of systemd where the environment does not say.
    Raises `LookupError`."""
    address = environ.get("DBUS_SESSION_BUS_ADDRESS")
    if address:
        return address
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return f"unix:path={runtime}/bus"
    raise LookupError("there is no session bus")
