"""A tray host without a screen: the watcher's name on a session bus, and what a panel asks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from jeepney import (
    DBusAddress,
    HeaderFields,
    Message,
    MessageType,
    new_error,
    new_method_call,
    new_method_return,
    new_signal,
)
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import DBusConnection, open_dbus_connection

from tests.support.scoped import Scoped

LIMIT = 90.0
WATCHER = "org.kde.StatusNotifierWatcher"
ITEM = "org.kde.StatusNotifierItem"
MENU = "com.canonical.dbusmenu"


class SniHost(Scoped):
    """Owns the watcher's name while it is open. For one thread.

    `shows` is what it answers when asked whether a panel shows items; None: it knows no such
    property.
    `registered` has the arguments of RegisterStatusNotifierItem in their order, `signals` the
    signals of items as (name, body)."""

    def __init__(self, address: str) -> None:
        self.registered: list[str] = []
        self.shows: bool | None = True
        self.signals: list[tuple[str, tuple[Any, ...]]] = []
        self.gone: list[str] = []
        """Unique names that have left the bus."""
        self._replies: dict[int, Message] = {}
        self._bus: DBusConnection = open_dbus_connection(address)
        for rule in (
            f"type='signal',interface='{ITEM}'",
            f"type='signal',interface='{MENU}'",
            "type='signal',member='NameOwnerChanged',sender='org.freedesktop.DBus'",
        ):
            self._ask(message_bus.AddMatch(rule))
        assert self._ask(message_bus.RequestName(WATCHER)).body == (1,)

    def close(self) -> None:
        self._bus.close()

    # --- waiting ------------------------------------------------------------------------------

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Serve the bus until `condition` is true; fails after `LIMIT` seconds."""
        deadline = time.monotonic() + LIMIT
        while not condition():
            left = deadline - time.monotonic()
            assert left > 0, f"waited {LIMIT:g} s in vain for {what}"
            self._serve(min(left, 1.0))

    def wait_item(self) -> str:
        """The name of the item that registers next."""
        before = len(self.registered)
        self.wait(lambda: len(self.registered) > before, "an item to register")
        return self.registered[-1]

    def wait_signal(self, name: str) -> tuple[Any, ...]:
        """The body of the next signal of that name; forgets those before it."""
        self.wait(lambda: name in dict(self.signals), name)
        while True:
            found, body = self.signals.pop(0)
            if found == name:
                return body

    # --- asking -------------------------------------------------------------------------------

    def call(
        self,
        item: str,
        interface: str,
        method: str,
        signature: str = "",
        body: tuple[Any, ...] = (),
        path: str | None = None,
    ) -> Message:
        """Call a method of the item, or of its menu; the reply, be it an error."""
        place = path or ("/MenuBar" if interface == MENU else "/StatusNotifierItem")
        address = DBusAddress(place, item, interface)
        return self._ask(new_method_call(address, method, signature or None, body))

    def properties(self, item: str) -> dict[str, Any]:
        reply = self.call(item, "org.freedesktop.DBus.Properties", "GetAll", "s", (ITEM,))
        return {name: value for name, (_, value) in reply.body[0].items()}

    def lines(self, item: str) -> dict[str, int]:
        """The labels of the menu, in their order, and their ids."""
        _, layout = self.call(item, MENU, "GetLayout", "iias", (0, -1, [])).body
        found: dict[str, int] = {}

        def walk(node: Any) -> None:  # noqa: ANN401 - a layout, as D-Bus nests it
            id_, properties, children = node
            if "label" in properties:
                found[properties["label"][1]] = id_
            for _, child in children:
                walk(child)

        walk(layout)
        return found

    def click(self, item: str, id_: int) -> None:
        event = (id_, "clicked", ("i", 0), int(time.time()))
        assert self.call(item, MENU, "Event", "isvu", event).body == ()

    # --- within -------------------------------------------------------------------------------

    def _ask(self, message: Message) -> Message:
        serial = next(self._bus.outgoing_serial)
        self._bus.send(message, serial=serial)
        self.wait(lambda: serial in self._replies, f"a reply to {message.header.fields}")
        return self._replies.pop(serial)

    def _serve(self, timeout: float) -> None:
        try:
            message = self._bus.receive(timeout=timeout)
        except TimeoutError:
            return
        fields = message.header.fields
        match message.header.message_type:
            case MessageType.method_call if fields[HeaderFields.member] == "Get":
                self._bus.send(self._get(message))
            case MessageType.method_call:
                self.registered += message.body
                self._bus.send(new_method_return(message))
            case MessageType.signal if fields[HeaderFields.member] == "NameOwnerChanged":
                name, _, owner = message.body
                if not owner:
                    self.gone.append(name)
            case MessageType.signal:
                self.signals.append((fields[HeaderFields.member], message.body))
            case _:
                self._replies[fields[HeaderFields.reply_serial]] = message

    def tell_host(self, *, shows: bool) -> None:
        """A panel has told us that it shows items, or that it no longer does."""
        self.shows = shows
        name = f"StatusNotifierHost{'Registered' if shows else 'Unregistered'}"
        self._bus.send(new_signal(DBusAddress("/StatusNotifierWatcher", interface=WATCHER), name))

    def _get(self, message: Message) -> Message:
        assert message.body == (WATCHER, "IsStatusNotifierHostRegistered")
        if self.shows is None:
            return new_error(message, "org.freedesktop.DBus.Error.UnknownProperty")
        return new_method_return(message, "v", (("b", self.shows),))
