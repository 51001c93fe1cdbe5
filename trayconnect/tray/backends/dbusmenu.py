"""A pystray menu as a com.canonical.dbusmenu object: ids, layouts, and what changed.

The rules that keep every host right (measured; see `update`):

- Lines of the same shape keep their ids, and only changed properties are sent: a menu that is open
  stays open. The shape has the key of each line in it.
- Where the lines of one menu change their shape, that menu and all below it get new ids, and only
  that menu is announced to hosts: LXQt and GNOME close an open one that is renewed. GNOME's
  extension shows old and new ids together out of order; a late click finds an id that is gone,
  never another item.
- A host that asks for one level (KDE's and LXQt's) learns of the next ones only when a submenu pops
  up, too late to know its size: KDE opened it off the screen. `late` tells such a host at once.

No I/O: signals to send are returned. One thread at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from trayconnect.tray.backends.dbus_objects import MENU, Interface, Refused
from trayconnect.tray.backends.pystray_base import Menu, MenuItem

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
        self._opened_lines: int | None = None
        """How many lines the menu had as it was opened; None after a click. A host need not say
        that it closed the menu."""

    @property
    def has_outgrown(self) -> bool:
        """Whether the menu may be open, with less than half of its lines."""
        lines = len(self._root.children)
        return self._opened_lines is not None and lines > 2 * self._opened_lines

    def forget_opened(self) -> None:
        """The host has closed the menu."""
        self._opened_lines = None

    def update(self, menu: Menu) -> list[Signal]:
        """Take over a menu; the signals tell the hosts what changed for them, in this order."""
        root = replace(self._root, children=_nodes(menu))
        changed: list[tuple[int, dict[str, Variant]]] = []
        renewed: list[int] = []
        self._root = self._merged(self._root, root, changed, renewed)
        self._nodes = {node.id: node for node in self._root.walk()}
        signals = [Signal("ItemsPropertiesUpdated", (changed, []))] if changed else []
        if renewed:
            self._revision = self._revision % 0xFFFFFFFF + 1
        return signals + [Signal("LayoutUpdated", (self._revision, id_)) for id_ in renewed]

    def late(self, parent: int) -> list[Signal]:
        """Signals for a host that got that item and its children only: it then asks for each
        submenu, before one is opened."""
        node = self._nodes.get(parent)
        children = () if node is None else node.children
        return [
            Signal("LayoutUpdated", (self._revision, child.id))
            for child in children
            if child.children
        ]

    def _merged(
        self,
        old: Node,
        new: Node,
        changed: list[tuple[int, dict[str, Variant]]],
        renewed: list[int],
    ) -> Node:
        """The new node with the id of the old one, which it may have. Notes changed properties,
        and the ids whose children are others now."""
        if news := dict(new.properties.items() - old.properties.items()):
            changed.append((old.id, news))
        if _shape(old) == _shape(new):
            pairs = zip(old.children, new.children, strict=True)
            children = tuple(self._merged(a, b, changed, renewed) for a, b in pairs)
        else:
            ids = self._new_ids()
            children = tuple(_with_ids(child, ids) for child in new.children)
            renewed.append(old.id)
        return replace(new, id=old.id, children=children)

    def _new_ids(self) -> Iterator[int]:
        """Such as no host has seen, until 2^31 are used up."""
        while True:
            self._last_id = self._last_id % _LAST_ID + 1
            if self._last_id not in self._nodes:
                yield self._last_id

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
            case "AboutToShow", (id_,):
                self._about_to_show(id_)
                return (False,)  # hosts know every change already
            case "AboutToShowGroup", (ids,):
                self._about_to_show(*ids)
                return [], [id_ for id_ in ids if id_ not in self._nodes]
            case _:
                raise Refused(f"{method} is not supported")

    def _node(self, id_: int) -> Node:
        node = self._nodes.get(id_)
        if node is None:
            raise Refused(f"no menu item {id_}")
        return node

    def _about_to_show(self, *ids: int) -> None:
        if ROOT in ids:
            self._opened_lines = len(self._root.children)

    def _event(self, id_: int, event: str) -> None:
        """A click on an id that is gone came too late, and means nothing."""
        if event == "clicked":
            self.forget_opened()
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


def _shape(node: Node) -> list[Any]:
    """What may not change in one menu under its ids: the key of each line, which properties it has,
    and whether it opens a submenu."""
    return [
        (getattr(child.item, "key", None), child.properties.keys(), bool(child.children))
        for child in node.children
    ]


def _with_ids(node: Node, ids: Iterator[int]) -> Node:
    id_ = next(ids)
    return replace(node, id=id_, children=tuple(_with_ids(child, ids) for child in node.children))


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
