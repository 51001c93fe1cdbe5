"""Who is on a session bus."""

from __future__ import annotations

from jeepney.bus_messages import message_bus
from jeepney.io.blocking import Proxy, open_dbus_connection

from tests.support.waiting import wait_for

LIMIT = 120.0


def wait_name(address: str, name: str) -> None:
    """Until somebody owns `name` on the bus at `address`; starts nobody."""
    with open_dbus_connection(address) as connection:
        bus = Proxy(message_bus, connection, timeout=LIMIT)
        wait_for(lambda: bus.NameHasOwner(name)[0], f"{name} on the bus", LIMIT)
