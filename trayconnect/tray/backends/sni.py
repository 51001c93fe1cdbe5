"""A pystray backend for Linux: a StatusNotifierItem with its menu, over D-Bus alone.

pystray itself has a menu on Linux only through GTK, which pip cannot install. Being a backend of it
(a subclass of its abstract `SniIcon`) keeps one adapter and one menu builder for all platforms, and
lets a real panel try them. Needs neither X nor Wayland nor GTK; leaves no files.

The item registers with the watcher (the panel, or what speaks for it) under its unique bus name,
since GNOME 43 takes no other, and again whenever a watcher appears. Left click: `ItemIsMenu` asks
the host for the menu. Hosts that keep it for the right button (LXQt, MATE) call Activate; nothing
hangs on that alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from jeepney import DBusAddress, HeaderFields, Message, MessageType, new_method_call
from jeepney.bus_messages import message_bus
from PIL import Image

from trayconnect.desktop.bus_connection import BusConnection
from trayconnect.tray.backends import dbus_objects, pystray_base
from trayconnect.tray.backends.dbus_objects import (
    HOST_REGISTERED,
    HOST_SIGNALS,
    ITEM,
    ITEM_PATH,
    MENU,
    MENU_PATH,
    WATCHER,
    WATCHER_PATH,
)
from trayconnect.tray.backends.dbusmenu import DBusMenu, Signal
from trayconnect.tray.icon import Glyph

log = logging.getLogger(__name__)

SIZES = (16, 22, 24, 32, 44, 48, 64, 96)
"""Pixels of the pictures that are offered: 16 to 32 at a scaling of 100 % to 300 %.

Hosts take the one that fits, or scale a larger one (xfce4-panel the largest, always). They fetch
all of them (80 kB) for each picture of a moving icon: half a percent of a core with xfce4-panel."""

_WATCHER_ADDRESS = DBusAddress(WATCHER_PATH, WATCHER, WATCHER)
_WATCHER_PROPERTIES = DBusAddress(WATCHER_PATH, WATCHER, dbus_objects.PROPERTIES.name)
_HOST_CHANGES = tuple(
    f"type='signal',path='{WATCHER_PATH}',interface='{WATCHER}',member='{member}'"
    for member in HOST_SIGNALS
)
_WATCHER_CHANGES = (
    "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
    f"interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{WATCHER}'"
)


class SniIcon(pystray_base.Icon):  # type: ignore[misc]  # pystray is not annotated
    """On the tray's thread, `on_registered` is called at the beginning with False, and then at each
    change with whether a watcher has the item and a host that shows it; `on_activate` for a click
    that is not for the menu."""

    HAS_DEFAULT_ACTION = False
    HAS_NOTIFICATION = False

    def __init__(
        self,
        name: str,
        icon: Glyph,
        title: str,
        *,
        on_registered: Callable[[bool], object] = lambda _registered: None,
    ) -> None:
        super().__init__(name, icon, title)
        self.on_activate: Callable[[], object] = lambda: None
        self._on_registered = on_registered
        self._asked = False
        """Whether the present watcher has been asked to take the item."""
        self._taken = False
        self.registered = False
        self._link = BusConnection(self)
        self._exported = DBusMenu(lambda item: item(self))
        self._objects: dict[str, dbus_objects.DBusObject] = {
            ITEM_PATH: self,
            MENU_PATH: self._exported,
        }

    def post(self, job: Callable[[], None]) -> None:
        """Run `job` on the tray's thread."""
        self._link.post(job)

    def later(self, seconds: float, job: Callable[[], None]) -> None:
        """Run `job` once after that time; for the tray's thread."""
        self._link.later(seconds, job)

    # --- for pystray ------------------------------------------------------------------------

    def _run(self) -> None:
        self._mark_ready()
        self._on_registered(False)
        self._link.run()

    def _stop(self) -> None:
        self._link.stop()

    def _show(self) -> None:
        self._emit("NewStatus", "s", ("Active",))
        self._link.post(self._register)  # pystray has marked it visible by then

    def _hide(self) -> None:
        self._emit("NewStatus", "s", ("Passive",))

    def _update_icon(self) -> None:
        self._icon_valid = True
        self._emit("NewIcon")

    def _update_title(self) -> None:
        self._emit("NewTitle")
        self._emit("NewToolTip")

    def _update_menu(self) -> None:
        self._tell(self._exported.update(self.menu or ()))
        if self._exported.has_outgrown:
            # GTK's panels keep the size of an open menu, and then how far it was scrolled for as
            # long as they have the item. xfce4-panel takes one that registers again as a new one.
            self._exported.forget_opened()
            self._asked = False
            self._register()

    def _tell(self, signals: list[Signal]) -> None:
        for signal in signals:
            signature = "".join(MENU.signals[signal.name])
            self._link.emit(MENU_PATH, MENU.name, signal.name, signature, signal.body)

    def _emit(self, name: str, signature: str = "", body: tuple[Any, ...] = ()) -> None:
        self._link.emit(ITEM_PATH, ITEM.name, name, signature, body)

    # --- callbacks of the bus connection ------------------------------------------------------

    def connected(self) -> None:
        log.info("on the session bus as %s", self._link.unique_name)
        for rule in (_WATCHER_CHANGES, *_HOST_CHANGES):
            self._link.send(message_bus.AddMatch(rule))
        self._register()

    def disconnected(self, reason: Exception) -> None:
        log.warning("no session bus, so no tray icon for now: %s", reason)
        self._forget()

    def signalled(self, message: Message) -> None:
        match message.header.fields.get(HeaderFields.member):
            case "NameOwnerChanged" if message.body[0] == WATCHER:
                self._forget()
                if message.body[2]:
                    self._register()
            case member if member in HOST_SIGNALS and self._taken:
                self._ask_for_host()

    def called(self, message: Message) -> Message:
        answer = dbus_objects.answer(self._objects, message)
        method = message.header.fields[HeaderFields.member]
        given = answer.header.message_type is MessageType.method_return
        if given and method == "GetLayout" and message.body[1] == 1:
            # After the answer: before it, the host does not know these items.
            self._link.post(partial(self._tell_late, message.body[0]))
        return answer

    def _tell_late(self, parent: int) -> None:
        self._tell(self._exported.late(parent))

    # --- the watcher --------------------------------------------------------------------------

    def _register(self) -> None:
        name = self._link.unique_name
        if name and self.visible and not self._asked:
            self._asked = True
            request = ("RegisterStatusNotifierItem", "s", (name,))
            self._link.send(new_method_call(_WATCHER_ADDRESS, *request), self._answered)

    def _answered(self, reply: Message | None) -> None:
        if reply is None:
            return
        if reply.header.message_type is MessageType.method_return:
            self._taken = True
            self._ask_for_host()
        else:
            self._asked = False
            log.info("no tray yet: %s", reply.header.fields.get(HeaderFields.error_name))

    def _ask_for_host(self) -> None:
        """A watcher may be there without a panel, as KDE's is when the panel has died."""
        request = ("Get", "ss", (WATCHER, HOST_REGISTERED))
        self._link.send(new_method_call(_WATCHER_PROPERTIES, *request), self._on_host_property)

    def _on_host_property(self, reply: Message | None) -> None:
        if reply is None or not self._taken:
            return
        # One that does not know the property is a panel that is watcher and host in one.
        known = reply.header.message_type is MessageType.method_return
        self._set_registered(registered=bool(reply.body[0][1]) if known else True)

    def _forget(self) -> None:
        """The watcher is gone, or the bus."""
        self._asked = self._taken = False
        self._set_registered(registered=False)

    def _set_registered(self, *, registered: bool) -> None:
        if registered != self.registered:
            self.registered = registered
            log.info("the tray %s the icon", "shows" if registered else "has lost")
            self._on_registered(registered)

    # --- as an object on the bus --------------------------------------------------------------

    @property
    def interface(self) -> dbus_objects.Interface:
        return ITEM

    def properties(self) -> dict[str, Any]:
        return {
            "Category": "ApplicationStatus",
            "Id": self.name,
            "Title": self.title,
            "Status": "Active" if self.visible else "Passive",
            "WindowId": 0,
            "IconThemePath": "",
            "Menu": MENU_PATH,
            "ItemIsMenu": True,
            "IconName": "",
            "IconPixmap": _pixmaps(self.icon),
            "OverlayIconName": "",
            "OverlayIconPixmap": [],
            "AttentionIconName": "",
            "AttentionIconPixmap": [],
            "AttentionMovieName": "",
            "ToolTip": ("", [], self.title, ""),
        }

    def invoke(self, method: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:  # noqa: ARG002
        """A middle click or the wheel means nothing."""
        if method == "Activate":
            self.on_activate()
        return ()


@lru_cache(maxsize=16)
def _pixmaps(icon: Glyph) -> list[tuple[int, int, bytes]]:
    """Width, height and ARGB32 pixels in network byte order, for each of `SIZES`."""
    return [(size, size, _argb(icon.at(size))) for size in SIZES]


def _argb(picture: Image.Image) -> bytes:
    red, green, blue, alpha = picture.split()
    return Image.merge("RGBA", (alpha, red, green, blue)).tobytes()
