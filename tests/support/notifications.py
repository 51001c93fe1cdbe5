"""Notification servers on a session bus: one of the test's own, and an ear for what another is
asked."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from jeepney import (
    DBusAddress,
    MessageType,
    new_method_call,
    new_method_return,
    new_signal,
)
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection
from jeepney.low_level import HeaderFields, Message

from tests.support.scoped import Scoped

LIMIT = 120.0
NAME = "org.freedesktop.Notifications"
_PATH = "/org/freedesktop/Notifications"


@dataclass(frozen=True)
class Shown:
    """The arguments of `Notify`."""

    application: str
    replaces: int
    icon: str
    title: str
    body: str
    actions: list[str]
    hints: dict[str, tuple[str, Any]]
    timeout: int


DISMISSED, BY_CALL = 2, 3
"""Why a notification was closed."""


class NotificationServer(Scoped):
    """Owns org.freedesktop.Notifications. `silent`: it takes calls and never answers."""

    def __init__(self, address: str, capabilities: list[str], *, silent: bool = False) -> None:
        self._capabilities = capabilities
        self._silent = silent
        self._condition = threading.Condition()
        self._shown: list[Shown] = []
        self._screen: dict[int, Shown] = {}
        self._calls = 0
        self._stopping = False
        self._sending = threading.Lock()
        self._bus = open_dbus_connection(address)
        name = message_bus.RequestName(NAME)
        self._bus.send_and_get_reply(name, timeout=LIMIT)
        self._thread = threading.Thread(target=self._serve, name="notification server")
        self._thread.start()

    def close(self) -> None:
        self._stopping = True
        self._thread.join()
        self._bus.close()

    @property
    def unique_name(self) -> str:
        """Its own on the bus."""
        name: str = self._bus.unique_name
        return name

    def wait_shown(self, count: int) -> list[Shown]:
        """The notifications, once there are `count`."""
        with self._condition:
            assert self._condition.wait_for(lambda: len(self._shown) >= count, LIMIT)
            return list(self._shown)

    def shown(self) -> list[Shown]:
        with self._condition:
            return list(self._shown)

    def wait_called(self) -> None:
        with self._condition:
            assert self._condition.wait_for(lambda: self._calls > 0, LIMIT)

    def wait_screen(self, *titles: str) -> dict[str, int]:
        """Until notifications of just these titles are on the screen; their ids."""
        with self._condition:
            assert self._condition.wait_for(
                lambda: sorted(one.title for one in self._screen.values()) == sorted(titles), LIMIT
            ), self._screen
            return {one.title: number for number, one in self._screen.items()}

    # --- what the user does ---

    def press(self, number: int, key: str, *, to: str = "") -> None:
        """Press a button, whether the notification is still there or not. Everyone is told, or
        just the unique name `to`."""
        self._emit("ActionInvoked", "us", (number, key), to)

    def dismiss(self, number: int) -> None:
        with self._condition:
            self._screen.pop(number)
        self._emit("NotificationClosed", "uu", (number, DISMISSED))

    # --- within ---

    def _serve(self) -> None:
        while not self._stopping:
            try:
                message = self._bus.receive(timeout=0.05)
            except TimeoutError:
                continue
            except OSError:
                return  # the bus has gone
            if message.header.message_type is MessageType.method_call:
                self._answer(message)

    def _answer(self, message: Message) -> None:
        method = message.header.fields[HeaderFields.member]
        number = 0
        with self._condition:
            self._calls += 1
            if method == "Notify":
                shown = Shown(*message.body)
                self._shown.append(shown)
                number = shown.replaces or len(self._shown)
                self._screen[number] = shown
            elif method == "CloseNotification":
                (number,) = message.body
                self._screen.pop(number, None)
            self._condition.notify_all()
        if self._silent:
            return
        match method:
            case "Notify":
                self._send(new_method_return(message, "u", (number,)))
            case "GetCapabilities":
                self._send(new_method_return(message, "as", (self._capabilities,)))
            case "GetServerInformation":
                about = ("test", "trayconnect", "1", "1.2")
                self._send(new_method_return(message, "ssss", about))
            case "CloseNotification":
                self._send(new_method_return(message))
                self._emit("NotificationClosed", "uu", (number, BY_CALL))

    def _emit(self, name: str, signature: str, body: tuple[int | str, ...], to: str = "") -> None:
        message = new_signal(DBusAddress(_PATH, interface=NAME), name, signature, body)
        if to:
            message.header.fields[HeaderFields.destination] = to
        self._send(message)

    def _send(self, message: Message) -> None:
        with self._sending:
            self._bus.send(message)


class NotificationEar(Scoped):
    """Overhears what the notification server of a bus is asked to show, whoever that is."""

    def __init__(self, address: str) -> None:
        self._condition = threading.Condition()
        self._shown: list[Shown] = []
        self._stopping = False
        self._bus = open_dbus_connection(address)
        rules = [f"type='method_call',destination='{NAME}',member='Notify'"]
        monitor = DBusAddress(
            "/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus.Monitoring"
        )
        call = new_method_call(monitor, "BecomeMonitor", "asu", (rules, 0))
        self._bus.send_and_get_reply(call, timeout=LIMIT)
        self._thread = threading.Thread(target=self._listen, name="notification ear")
        self._thread.start()

    def close(self) -> None:
        self._stopping = True
        self._thread.join()
        self._bus.close()

    def wait_for(self, title: str) -> Shown:
        """The last notification of that title, once there is one."""
        with self._condition:
            assert self._condition.wait_for(
                lambda: any(one.title == title for one in self._shown), LIMIT
            ), self._shown
            return next(one for one in reversed(self._shown) if one.title == title)

    def titles(self) -> list[str]:
        with self._condition:
            return [one.title for one in self._shown]

    def _listen(self) -> None:
        while not self._stopping:
            try:
                message = self._bus.receive(timeout=0.05)
            except TimeoutError:
                continue
            except OSError:
                return  # the bus has gone
            if message.header.fields.get(HeaderFields.member) == "Notify":
                with self._condition:
                    self._shown.append(Shown(*message.body))
                    self._condition.notify_all()
