"""The two D-Bus interfaces of a tray item, as tables.

Sources: https://www.freedesktop.org/wiki/Specifications/StatusNotifierItem/StatusNotifierItem/
(with KDE's names, which is what is implemented everywhere), and com.canonical.dbusmenu in
https://github.com/AyatanaIndicators/libdbusmenu/blob/main/libdbusmenu-glib/dbus-menu.xml
"""

from __future__ import annotations

from typing import Final

from trayconnect.tray.backends.dbus_objects import Interface, Method

WATCHER: Final = "org.kde.StatusNotifierWatcher"
WATCHER_PATH: Final = "/StatusNotifierWatcher"
HOST_REGISTERED: Final = "IsStatusNotifierHostRegistered"
HOST_SIGNALS: Final = ("StatusNotifierHostRegistered", "StatusNotifierHostUnregistered")
ITEM_PATH: Final = "/StatusNotifierItem"
MENU_PATH: Final = "/MenuBar"

_PIXMAPS = "a(iiay)"

ITEM: Final = Interface(
    "org.kde.StatusNotifierItem",
    properties={
        "Category": "s",
        "Id": "s",
        "Title": "s",
        "Status": "s",
        "WindowId": "i",
        "IconThemePath": "s",
        "Menu": "o",
        "ItemIsMenu": "b",
        "IconName": "s",
        "IconPixmap": _PIXMAPS,
        "OverlayIconName": "s",
        "OverlayIconPixmap": _PIXMAPS,
        "AttentionIconName": "s",
        "AttentionIconPixmap": _PIXMAPS,
        "AttentionMovieName": "s",
        "ToolTip": f"(s{_PIXMAPS}ss)",
    },
    # No ContextMenu: a host that is told so opens the menu itself.
    methods={
        "Activate": Method(("i", "i")),
        "SecondaryActivate": Method(("i", "i")),
        "Scroll": Method(("i", "s")),
    },
    signals={
        "NewTitle": (),
        "NewIcon": (),
        "NewToolTip": (),
        "NewStatus": ("s",),
    },
)

_ITEM_PROPERTIES = "(ia{sv})"
_EVENT = "(isvu)"

MENU: Final = Interface(
    "com.canonical.dbusmenu",
    properties={"Version": "u", "TextDirection": "s", "Status": "s", "IconThemePath": "as"},
    methods={
        "GetLayout": Method(("i", "i", "as"), ("u", "(ia{sv}av)")),
        "GetGroupProperties": Method(("ai", "as"), (f"a{_ITEM_PROPERTIES}",)),
        "GetProperty": Method(("i", "s"), ("v",)),
        "Event": Method(("i", "s", "v", "u")),
        "EventGroup": Method((f"a{_EVENT}",), ("ai",)),
        "AboutToShow": Method(("i",), ("b",)),
        "AboutToShowGroup": Method(("ai",), ("ai", "ai")),
    },
    signals={
        "ItemsPropertiesUpdated": (f"a{_ITEM_PROPERTIES}", "a(ias)"),
        "LayoutUpdated": ("u", "i"),
    },
)
