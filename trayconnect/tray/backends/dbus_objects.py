"""D-Bus objects described as tables, and answers to method calls on them; the tables of
StatusNotifierItem and dbusmenu.

An interface says what there is; a call that does not fit it is refused before it reaches the
object. The standard interfaces are answered here. Pure: a call in, an answer out.

Source: "Standard Interfaces" in https://dbus.freedesktop.org/doc/dbus-specification.html
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Final, Protocol

from jeepney import HeaderFields, Message, new_error, new_method_return

log = logging.getLogger(__name__)

_ERROR = "org.freedesktop.DBus.Error."
_HEAD = (
    '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"\n'
    ' "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">\n'
)


@dataclass(frozen=True, slots=True)
class Method:
    """The signatures of its arguments and its results, a string for each."""

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Interface:
    name: str
    properties: Mapping[str, str]
    """Their signatures; all are read-only."""
    methods: Mapping[str, Method]
    signals: Mapping[str, tuple[str, ...]]


class DBusObject(Protocol):
    """Something with one interface of its own."""

    @property
    def interface(self) -> Interface: ...

    def properties(self) -> Mapping[str, Any]:
        """A value for each property of the interface."""
        ...

    def invoke(self, method: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """Carry out a call that fits the interface. Raises `Refused`."""
        ...


class Refused(Exception):  # noqa: N818 - an answer, not a failure of ours
    """The call makes no sense now: an error reply with this text."""


PROPERTIES = Interface(
    "org.freedesktop.DBus.Properties",
    {},
    {
        "Get": Method(("s", "s"), ("v",)),
        "GetAll": Method(("s",), ("a{sv}",)),
    },
    {"PropertiesChanged": ("s", "a{sv}", "as")},
)
INTROSPECTABLE = Interface(
    "org.freedesktop.DBus.Introspectable", {}, {"Introspect": Method((), ("s",))}, {}
)
PEER = Interface("org.freedesktop.DBus.Peer", {}, {"Ping": Method()}, {})
_STANDARD = (PROPERTIES, INTROSPECTABLE, PEER)


def answer(objects: Mapping[str, DBusObject], call: Message) -> Message:
    """The return or the error for a method call; `objects` maps paths."""
    fields = call.header.fields
    path, member = fields[HeaderFields.path], fields[HeaderFields.member]
    target = objects.get(path)
    own = () if target is None else (target.interface,)
    wanted = fields.get(HeaderFields.interface)
    for interface in (*own, *_STANDARD):
        if wanted in (None, interface.name) and member in interface.methods:
            break
    else:
        return _error(call, "UnknownMethod", f"no method {member} of {wanted} at {path}")
    method = interface.methods[member]
    if fields.get(HeaderFields.signature, "") != "".join(method.inputs):
        return _error(call, "InvalidArgs", f"{member} takes ({', '.join(method.inputs)})")
    try:
        if target is not None and interface is target.interface:
            body = target.invoke(member, call.body)
        else:
            body = _standard(path, target, member, call.body)
    except Refused as refusal:
        return _error(call, "InvalidArgs", str(refusal))
    except Exception:  # our bug; the caller must still get an answer
        log.exception("%s of %s failed", member, interface.name)
        return _error(call, "Failed", f"{member} failed")
    return new_method_return(call, "".join(method.outputs) or None, body)


def _standard(
    path: str, target: DBusObject | None, member: str, arguments: tuple[Any, ...]
) -> tuple[Any, ...]:
    match member:
        case "Introspect":
            return (introspection(target.interface) if target else f"{_HEAD}<node/>",)
        case "Get":
            values = _values(path, target, arguments[0])
            if arguments[1] not in values:
                raise Refused(f"{arguments[0]} has no property {arguments[1]}")
            return (values[arguments[1]],)
        case "GetAll":
            return (_values(path, target, arguments[0]),)
        case _:
            return ()


def _values(path: str, target: DBusObject | None, interface: str) -> dict[str, tuple[str, Any]]:
    """Properties as variants; an empty interface name means any (as the specification allows)."""
    if target is None or interface not in ("", target.interface.name):
        raise Refused(f"no interface {interface} with properties at {path}")
    types = target.interface.properties
    return {name: (types[name], value) for name, value in target.properties().items()}


def _error(call: Message, name: str, text: str) -> Message:
    return new_error(call, _ERROR + name, "s", (text,))


def introspection(own: Interface) -> str:
    """The introspection document of an object with that interface and the standard ones."""
    lines = ["<node>"]
    for interface in (own, *_STANDARD):
        lines.append(f' <interface name="{escape(interface.name)}">')
        for name, signature in interface.properties.items():
            lines.append(f'  <property name="{name}" type="{signature}" access="read"/>')
        for name, method in interface.methods.items():
            lines.append(f'  <method name="{name}">')
            lines += [f'   <arg type="{sig}" direction="in"/>' for sig in method.inputs]
            lines += [f'   <arg type="{sig}" direction="out"/>' for sig in method.outputs]
            lines.append("  </method>")
        for name, signatures in interface.signals.items():
            lines.append(f'  <signal name="{name}">')
            lines += [f'   <arg type="{sig}"/>' for sig in signatures]
            lines.append("  </signal>")
        lines.append(" </interface>")
    return _HEAD + "\n".join([*lines, "</node>"])


# https://www.freedesktop.org/wiki/Specifications/StatusNotifierItem/StatusNotifierItem/ (with KDE's
# names, which everybody uses), and com.canonical.dbusmenu in
# https://github.com/AyatanaIndicators/libdbusmenu/blob/main/libdbusmenu-glib/dbus-menu.xml

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
