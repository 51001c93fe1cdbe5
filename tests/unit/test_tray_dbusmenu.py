"""The exported menu, seen as a host sees it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

if sys.platform != "linux":
    pytest.skip("jeepney is installed on Linux only", allow_module_level=True)

from trayconnect.core.command import Command
from trayconnect.tray.backends.dbus_objects import Refused
from trayconnect.tray.backends.dbusmenu import ROOT, DBusMenu, Signal, Variant
from trayconnect.tray.backends.pystray_base import menu_of
from trayconnect.tray.text import dbusmenu_label
from trayconnect.tray.view import Item

CONNECT = Command("connect", "GPU box")
QUIT = Command("quit")
Layout: TypeAlias = "tuple[int, dict[str, Variant], list[tuple[str, Layout]]]"
ITEMS = (
    Item("gpu", "GPU_box: off", CONNECT, checked=False),
    Item("words", "no Jupyter", enabled=False),
    Item("line", separator=True),
    Item("lab", "Lab", children=(Item("open", "Open", Command("open", "Lab")),)),
    Item("quit", "Quit", QUIT),
)


class Host:
    """What a panel does: keeps a copy of the menu by the signals alone."""

    def __init__(self, items: tuple[Item, ...] = ()) -> None:
        self.clicked: list[Command] = []
        self.menu = DBusMenu(lambda item: item(None))
        self.show(items)
        self.fetch()

    def show(self, items: tuple[Item, ...]) -> list[Signal]:
        signals = self.menu.update(menu_of(items, self.clicked.append, dbusmenu_label))
        for signal in signals:
            if signal.name == "LayoutUpdated":
                revision, parent = signal.body
                self.fetch(parent)
                assert revision == self.revision
                continue
            changed, removed = signal.body
            assert not removed
            for id_, properties in changed:
                self.find(id_)[1].update(properties)
        return signals

    def fetch(self, parent: int = ROOT) -> None:
        self.revision, layout = self.menu.invoke("GetLayout", (parent, -1, []))
        if parent == ROOT:
            self.layout = copied(layout)
        else:
            self.find(parent)[2][:] = copied(layout)[2]

    def find(self, id_: int) -> Layout:
        return next(node for node in walk(self.layout) if node[0] == id_)

    def id_of(self, label: str) -> int:
        """The id of the item of that label."""
        found = [n[0] for n in walk(self.layout) if n[1].get("label") == ("s", label)]
        (id_,) = found
        return int(id_)

    def click(self, id_: int) -> None:
        assert self.menu.invoke("Event", (id_, "clicked", ("i", 0), 0)) == ()

    def ids(self) -> list[int]:
        return [node[0] for node in walk(self.layout)]


def copied(layout: Layout) -> Layout:
    id_, properties, children = layout
    return (id_, dict(properties), [(kind, copied(child)) for kind, child in children])


def walk(layout: Layout) -> Iterator[Layout]:
    yield layout
    for _, child in layout[2]:
        yield from walk(child)


def test_the_layout() -> None:
    host = Host(ITEMS)
    root, _, children = host.layout
    assert root == ROOT
    assert [kind for kind, _ in children] == ["(ia{sv}av)"] * 5
    gpu, words, line, lab, _ = (child for _, child in children)
    assert gpu[1] == {
        "label": ("s", "GPU__box: off"),
        "enabled": ("b", True),
        "visible": ("b", True),
        "toggle-type": ("s", "checkmark"),
        "toggle-state": ("i", 0),
    }
    assert words[1]["enabled"] == ("b", False)
    assert line[1]["type"] == ("s", "separator")
    assert lab[1]["children-display"] == ("s", "submenu")
    assert lab[2][0][1][1]["label"] == ("s", "Open")


@pytest.mark.parametrize(
    ("depth", "levels"), [(0, 1), (1, 2), (2, 3), (-1, 3)], ids=lambda value: str(value)
)
def test_the_depth_of_a_layout(depth: int, levels: int) -> None:
    host = Host(ITEMS)

    def height(layout: Layout) -> int:
        return 1 + max((height(child) for _, child in layout[2]), default=0)

    _, layout = host.menu.invoke("GetLayout", (ROOT, depth, []))
    assert height(layout) == levels


def test_only_the_properties_that_are_asked_for() -> None:
    host = Host(ITEMS)
    _, (_, _, children) = host.menu.invoke("GetLayout", (ROOT, 1, ["label"]))
    names = [list(child[1]) for _, child in children]
    assert names == [["label"], ["label"], [], ["label"], ["label"]]
    quit_ = host.id_of("Quit")
    (group,) = host.menu.invoke("GetGroupProperties", ([quit_, 9999], ["label", "enabled"]))
    assert group == [(quit_, {"label": ("s", "Quit"), "enabled": ("b", True)})]
    (group,) = host.menu.invoke("GetGroupProperties", ([], ["label"]))
    assert [id_ for id_, _ in group] == host.ids()
    assert host.menu.invoke("GetProperty", (quit_, "label")) == (("s", "Quit"),)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("GetLayout", (4711, -1, [])),
        ("GetProperty", (4711, "label")),
        ("GetProperty", (ROOT, "label")),
        ("NoSuchThing", ()),
    ],
)
def test_what_is_refused(method: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(Refused):
        Host(ITEMS).menu.invoke(method, arguments)


def test_a_click_is_the_items_action() -> None:
    host = Host(ITEMS)
    host.click(host.id_of("GPU__box: off"))
    host.click(host.id_of("Open"))
    assert host.clicked == [CONNECT, Command("open", "Lab")]


@pytest.mark.parametrize("event", ["hovered", "opened", "closed", "x-other"])
def test_other_events_do_nothing(event: str) -> None:
    host = Host(ITEMS)
    host.menu.invoke("Event", (host.id_of("Quit"), event, ("s", ""), 0))
    assert host.clicked == []


def test_what_cannot_be_chosen_is_not() -> None:
    host = Host(ITEMS)
    for id_ in (ROOT, host.id_of("no Jupyter"), host.id_of("Lab"), 4711, -1):
        host.click(id_)
    assert host.clicked == []


def test_a_group_of_events() -> None:
    host = Host(ITEMS)
    quit_ = host.id_of("Quit")
    events = [(4711, "clicked", ("i", 0), 0), (quit_, "clicked", ("i", 0), 0)]
    assert host.menu.invoke("EventGroup", (events,)) == ([4711],)
    assert host.clicked == [QUIT]


def test_nothing_needs_an_update_when_it_is_about_to_show() -> None:
    host = Host(ITEMS)
    assert host.menu.invoke("AboutToShow", (ROOT,)) == (False,)
    assert host.menu.invoke("AboutToShowGroup", ([ROOT, 4711],)) == ([], [4711])


def test_the_same_again_is_no_news() -> None:
    assert Host(ITEMS).show(ITEMS) == []


def test_a_changed_text_keeps_ids_and_sends_only_itself() -> None:
    host = Host(ITEMS)
    before = host.ids()
    signals = host.show((replace(ITEMS[0], text="GPU_box: connected", checked=True), *ITEMS[1:]))
    id_ = host.id_of("GPU__box: connected")
    news = {"label": ("s", "GPU__box: connected"), "toggle-state": ("i", 1)}
    assert signals == [Signal("ItemsPropertiesUpdated", ([(id_, news)], []))]
    assert host.ids() == before


def test_an_action_may_change_under_an_id() -> None:
    host = Host(ITEMS)
    id_ = host.id_of("Quit")
    other = Command("disconnect-all")
    assert host.show((*ITEMS[:-1], replace(ITEMS[-1], command=other))) == []
    host.click(id_)
    assert host.clicked == [other]


@pytest.mark.parametrize(
    "items",
    [
        ITEMS[1:],
        (*ITEMS, Item("more", "More")),
        (ITEMS[1], ITEMS[0], *ITEMS[2:]),
        (replace(ITEMS[0], key="other"), *ITEMS[1:]),
        (replace(ITEMS[0], checked=None), *ITEMS[1:]),
        (*ITEMS[:3], replace(ITEMS[3], children=()), ITEMS[4]),
        (),
    ],
    ids=["one less", "one more", "swapped", "a key", "no check mark", "a leaf", "none"],
)
def test_another_shape_has_new_ids_throughout(items: tuple[Item, ...]) -> None:
    host = Host(ITEMS)
    before = set(host.ids()) - {ROOT}
    revision = host.revision
    assert host.show(items) == [Signal("LayoutUpdated", (revision + 1, ROOT))]
    assert before.isdisjoint(host.ids())


def test_a_change_within_a_submenu_renews_only_that_one() -> None:
    below = Item("kernels", "Kernels", children=(Item("k1", "one"),))
    other = Item("other", "Other", children=(Item("x", "an x"),))
    lab = replace(ITEMS[3], children=(ITEMS[3].children[0], below))
    host = Host((*ITEMS[:3], lab, other))
    kept = {label: host.id_of(label) for label in ("Lab", "Open", "Kernels", "Other", "an x")}
    one, revision = host.id_of("one"), host.revision

    more = replace(below, children=(Item("k1", "one"), Item("k2", "two")))
    changed = replace(lab, text="Lab!", children=(lab.children[0], more))
    assert host.show((*ITEMS[:3], changed, other)) == [
        Signal("ItemsPropertiesUpdated", ([(kept["Lab"], {"label": ("s", "Lab!")})], [])),
        Signal("LayoutUpdated", (revision + 1, kept["Kernels"])),
    ]
    assert host.id_of("Open") == kept["Open"]
    assert host.id_of("an x") == kept["an x"]
    assert host.id_of("one") != one, "all of the renewed menu is new"


def test_a_host_that_asks_for_one_level_is_told_of_the_next() -> None:
    inner = replace(ITEMS[3], text="Inner")
    host = Host((*ITEMS, Item("group", "Group", children=(inner,))))
    assert host.menu.late(ROOT) == [
        Signal("LayoutUpdated", (host.revision, host.id_of(label))) for label in ("Lab", "Group")
    ]
    (told,) = host.menu.late(host.id_of("Group"))
    assert told.body == (host.revision, host.id_of("Inner"))
    assert host.menu.late(host.id_of("Inner")) == host.menu.late(4711) == []


def test_a_late_click_hits_nothing() -> None:
    host = Host(ITEMS)
    late = host.ids()
    host.show(ITEMS[1:])
    for id_ in late:
        host.click(id_)
    assert host.clicked == []


def test_ids_stay_within_31_bits() -> None:
    host = Host(ITEMS)
    host.menu._last_id = 2**31 - 3
    changed = replace(ITEMS[3], children=(*ITEMS[3].children, *ITEMS[:2], *ITEMS[4:]))
    host.show((*ITEMS[:3], changed, ITEMS[4]))
    assert max(host.ids()) == 2**31 - 1
    assert len(set(host.ids())) == len(host.ids())


ACTIONS = st.none() | st.builds(
    Command, st.sampled_from(["connect", "open", "quit"]), st.sampled_from(["a", "b"])
)
LEAVES = st.builds(
    Item,
    key=st.sampled_from("abcd"),
    text=st.sampled_from(["", "one", "t_w_o"]),
    command=ACTIONS,
    enabled=st.booleans(),
    checked=st.none() | st.booleans(),
    separator=st.booleans(),
)
TREES = st.recursive(
    LEAVES,
    lambda below: st.builds(
        Item,
        key=st.sampled_from("abcd"),
        text=st.just("menu"),
        children=st.lists(below, min_size=1, max_size=3).map(tuple),
    ),
    max_leaves=8,
)
VIEWS = st.lists(TREES, max_size=5).map(tuple)


@given(st.lists(VIEWS, min_size=1, max_size=5))
def test_a_host_that_heeds_the_signals_shows_the_menu(views: list[tuple[Item, ...]]) -> None:
    host = Host()
    gone: set[int] = set()
    for items in views:
        before = set(host.ids())
        host.show(items)
        gone |= before - set(host.ids())
        shown = host.layout, host.revision
        host.fetch()
        assert (host.layout, host.revision) == shown
        ids = host.ids()
        assert len(set(ids)) == len(ids)
        assert gone.isdisjoint(ids)


@given(VIEWS)
def test_every_click_is_its_own(items: tuple[Item, ...]) -> None:
    host = Host(items)
    for id_ in host.ids():
        host.click(id_)
    assert host.clicked == [
        item.command for item in leaves(items) if item.command is not None and item.enabled
    ]


def leaves(items: tuple[Item, ...]) -> Iterator[Item]:
    for item in items:
        if item.children:
            yield from leaves(item.children)
        elif not item.separator:
            yield item
