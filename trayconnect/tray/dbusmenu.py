"""A pystray menu as a com.canonical.dbusmenu object: ids, layouts, and what changed.

The rules that keep every host right (measured; see `update`):

- A menu of the same shape keeps its ids, and only changed properties are sent: a menu that is open
  stays open. The shape has the key of each item in it.
- Another shape gets new ids throughout. GNOME's extension shows old and new ids in one layout out
  of order; and a click that comes late finds an id that is gone, never another item.

No I/O: signals to send are returned. One thread at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from trayconnect.tray.dbus_objects import Interface, Refused
from trayconnect.tray.pystray_base import Menu, MenuItem
from trayconnect.tray.sni_interfaces import MENU

Variant = tuple[str, Any]
"""A signature and a value of it, as jeepney writes a D-Bus variant."""

ROOT = 0
_LAST_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Node:
    """One entry of the menu as the host knows it."""

    id: int
    item: MenuItem | None
    """None for the root."""
    properties: dict[str, Variant]
    children: tuple[Node, ...] = ()

    def walk(self) -> Iterator[Node]:
        """It and all below it, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Signal:
    """To be sent from the menu's path and interface."""

    name: str
    body: tuple[Any, ...]


class DBusMenu:
    """The exported object. `click` is called with an item when the user chooses it."""

    def __init__(self, click: Callable[[MenuItem], None]) -> None:
        self._click = click
        self._revision = 1
        self._last_id = ROOT
        self._root = Node(ROOT, None, {"children-display": ("s", "submenu")})
        self._nodes = {ROOT: self._root}

    def update(self, menu: Menu) -> Signal | None:
        """Take over a menu; the signal tells the hosts, None that nothing changed for them."""
        old = list(self._root.walk())
        root = replace(self._root, children=_nodes(menu))
        same = _shape(self._root.children) == _shape(root.children)
        if same:
            ids: Iterator[int] = iter([node.id for node in old])
        else:
            ids = self._new_ids(sum(1 for _ in root.walk()))
            self._revision = self._revision % 0xFFFFFFFF + 1
        self._root = _numbered(root, ids)
        self._nodes = {node.id: node for node in self._root.walk()}
        if not same:
            return Signal("LayoutUpdated", (self._revision, ROOT))
        changed = [
            (node.id, news)
            for before, node in zip(old, self._root.walk(), strict=True)
            if (news := dict(node.properties.items() - before.properties.items()))
        ]
        return Signal("ItemsPropertiesUpdated", (changed, [])) if changed else None

    def _new_ids(self, count: int) -> Iterator[int]:
        """The root's, then `count - 1` that no host has seen (until 2^31 are used up)."""
        first = self._last_id + 1
        if first + count > _LAST_ID:
            first = 1
        self._last_id = first + count - 2
        return iter([ROOT, *range(first, first + count - 1)])

    # --- as an object on the bus ------------------------------------------------------------

    @property
    def interface(self) -> Interface:
        return MENU

    def properties(self) -> dict[str, Any]:
        return {"Version": 3, "TextDirection": "ltr", "Status": "normal", "IconThemePath": []}

    def invoke(self, method: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        match method, arguments:
            case "GetLayout", (parent, depth, names):
                return self._revision, _layout(self._node(parent), depth, names)
            case "GetGroupProperties", (ids, names):
                wanted = ids or self._nodes
                nodes = [self._nodes[id_] for id_ in wanted if id_ in self._nodes]
                return ([(node.id, _chosen(node, names)) for node in nodes],)
            case "GetProperty", (id_, name):
                properties = self._node(id_).properties
                if name not in properties:
                    raise Refused(f"item {id_} has no property {name}")
                return (properties[name],)
            case "Event", (id_, event, _, _):
                self._event(id_, event)
                return ()
            case "EventGroup", (events,):
                missing = [event[0] for event in events if event[0] not in self._nodes]
                for id_, event, _, _ in events:
                    self._event(id_, event)
                return (missing,)
            case "AboutToShow", _:
                return (False,)  # hosts have been told of every change already
            case "AboutToShowGroup", (ids,):
                return [], [id_ for id_ in ids if id_ not in self._nodes]
            case _:
                raise Refused(f"{method} is not supported")

    def _node(self, id_: int) -> Node:
        node = self._nodes.get(id_)
        if node is None:
            raise Refused(f"no menu item {id_}")
        return node

    def _event(self, id_: int, event: str) -> None:
        """A click on an id that is gone came too late, and means nothing."""
        node = self._nodes.get(id_)
        item = None if node is None or node.children else node.item
        if event == "clicked" and item is not None and item.enabled:
            self._click(item)


def _nodes(menu: Iterable[MenuItem]) -> tuple[Node, ...]:
    return tuple(Node(ROOT, item, _properties(item), _nodes(item.submenu or ())) for item in menu)


def _properties(item: MenuItem) -> dict[str, Variant]:
    if item is Menu.SEPARATOR:
        return {"type": ("s", "separator"), "visible": ("b", True)}
    properties: dict[str, Variant] = {
        "label": ("s", item.text),
        "enabled": ("b", bool(item.enabled)),
        "visible": ("b", True),
    }
    if item.checked is not None:
        properties["toggle-type"] = ("s", "radio" if item.radio else "checkmark")
        properties["toggle-state"] = ("i", int(bool(item.checked)))
    if item.submenu:
        properties["children-display"] = ("s", "submenu")
    return properties


def _shape(nodes: tuple[Node, ...]) -> list[Any]:
    """What may not change under an id: the key, which properties there are, and the children."""
    return [
        (getattr(node.item, "key", None), node.properties.keys(), _shape(node.children))
        for node in nodes
    ]


def _numbered(node: Node, ids: Iterator[int]) -> Node:
    id_ = next(ids)
    return replace(node, id=id_, children=tuple(_numbered(child, ids) for child in node.children))


def _layout(node: Node, depth: int, names: list[str]) -> tuple[int, dict[str, Variant], list[Any]]:
    """`depth` levels of children; all of them if it is negative."""
    children = node.children if depth else ()
    below = [("(ia{sv}av)", _layout(child, depth - 1, names)) for child in children]
    return node.id, _chosen(node, names), below


def _chosen(node: Node, names: list[str]) -> dict[str, Variant]:
    """Those named; all if none is."""
    if not names:
        return node.properties
    return {name: value for name, value in node.properties.items() if name in names}
