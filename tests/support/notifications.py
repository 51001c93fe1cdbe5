"""A notification server on a session bus, which remembers what it was asked to show."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from jeepney import MessageType, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection
from jeepney.low_level import HeaderFields, Message

LIMIT = 60.0


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


class NotificationServer:
    """Owns org.freedesktop.Notifications. `silent`: it takes calls and never answers."""

    def __init__(self, address: str, capabilities: list[str], *, silent: bool = False) -> None:
        self._capabilities = capabilities
        self._silent = silent
        self._condition = threading.Condition()
        self._shown: list[Shown] = []
        self._calls = 0
        self._stopping = False
        self._bus = open_dbus_connection(address)
        name = message_bus.RequestName("org.freedesktop.Notifications")
        self._bus.send_and_get_reply(name, timeout=LIMIT)
        self._thread = threading.Thread(target=self._serve, name="notification server")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping = True
        self._thread.join()
        self._bus.close()

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
        with self._condition:
            self._calls += 1
            if method == "Notify":
                self._shown.append(Shown(*message.body))
            number = len(self._shown)
            self._condition.notify_all()
        if self._silent:
            return
        if method == "Notify":
            reply = new_method_return(message, "u", (number,))
        else:
            reply = new_method_return(message, "as", (self._capabilities,))
        self._bus.send(reply)
