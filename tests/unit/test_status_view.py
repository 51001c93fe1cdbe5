"""From snapshots to the status window, by tables: the same choices as the menu's."""

from __future__ import annotations

import pytest

from tests.support.servers import make_server
from tests.support.snapshots import change, snap
from tests.unit.test_tray_menu import FORWARDS, JUPYTERS, READY, SILENT, forwarding
from trayconnect.core.command import Command
from trayconnect.core.errors import Problem
from trayconnect.services.jupyter.activity import Activity
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.sessions.state import State
from trayconnect.tray.icon import WINDOW_SIZES, icons
from trayconnect.tray.menu import MenuFacts, build_view
from trayconnect.tray.status_view import status_page
from trayconnect.tray.view import IconState, Item

WAITING = snap(state=State.WAITING, retry_at=1.0, problem=SILENT)
ASKING = snap(state=State.NEEDS_YOU, asking=True)
NEEDY = snap(state=State.NEEDS_YOU, problem=SILENT)


@pytest.mark.parametrize(
    ("snapshot", "icon", "toggle", "verb"),
    [
        (snap(), IconState.OFF, "Connect", "connect"),
        (snap(state=State.CONNECTING), IconState.CONNECTING, "Disconnect", "disconnect"),
        (READY, IconState.UP, "Disconnect", "disconnect"),
        (WAITING, IconState.CONNECTING, "Disconnect", "disconnect"),
        (ASKING, IconState.NEEDS_YOU, "Disconnect", "disconnect"),
        (NEEDY, IconState.NEEDS_YOU, "Connect", "connect"),
        (snap(state=State.FAILED), IconState.FAILED, "Connect", "connect"),
    ],
)
def test_a_server_has_its_icon_and_its_toggle(
    snapshot: Snapshot, icon: IconState, toggle: str, verb: str
) -> None:
    (row,) = status_page([snapshot], MenuFacts()).rows
    assert (row.name, row.icon, row.toggle.text) == ("GPU box", icon.value, toggle)
    assert row.toggle.command == Command(verb, "GPU box")
    assert row.words
    assert row.problem == ("" if snapshot.problem is None else SILENT.title)


def test_a_page_is_opened_by_the_main_button() -> None:
    open_, none = status_page([READY, snap(server=make_server("B"))], MenuFacts()).rows
    assert open_.main is not None
    assert (open_.main.text, open_.main.command) == ("Open", Command("open", "GPU box"))
    assert none.main is None


def commands(items: tuple[Item, ...]) -> set[Command]:
    found = {item.command for item in items if item.command is not None}
    return found.union(*(commands(item.children) for item in items))


@pytest.mark.parametrize("autostart", [None, True, False])
def test_it_offers_what_the_menu_offers(autostart: bool | None) -> None:
    refused = {"any": Problem("It refused", "")}
    ready = forwarding(change(READY, server=make_server("A")), *FORWARDS, answers=refused)
    ready = change(ready, notes=("x",), jupyters=JUPYTERS)
    facts = MenuFacts(autostart=autostart, file_problems=("x",))
    snapshots = [ready, WAITING, change(NEEDY, server=make_server("C", group="Lab"))]
    page = status_page(snapshots, facts)
    offered = [page.edit, page.quit, *page.more]
    offered += [button for group in page.groups for button in group.more]
    for row in page.rows:
        offered += [row.toggle, row.main, *row.more]
    offers = {button.command for button in offered if button is not None}
    of_menu = commands(build_view(snapshots, facts).items)
    told = {
        a
        for a in of_menu
        if a.name == "show-status" or (a.name == "show-problem" and not a.text("forward"))
    }
    assert offers == of_menu - told


def test_groups_are_headings_below_the_servers_without_one() -> None:
    names = [("a", "Lab"), ("b", None), ("c", "Field"), ("d", "Lab")]
    page = status_page([snap(server=make_server(n, group=g)) for n, g in names], MenuFacts())
    assert [(row.name, row.group) for row in page.rows] == [
        ("b", ""),
        ("a", "Lab"),
        ("d", "Lab"),
        ("c", "Field"),
    ]
    assert [group.name for group in page.groups] == ["Lab", "Field"]
    connect, disconnect = page.groups[0].more
    assert connect.command == Command("connect-group", arguments={"group": "Lab"})
    assert (connect.enabled, disconnect.enabled) == (True, False)


def test_a_mark_is_not_part_of_the_text() -> None:
    (line,) = (b for b in status_page([], MenuFacts(autostart=True)).more if "login" in b.text)
    assert (line.text, line.checked) == ("Start at login", True)


def test_a_broken_file_is_told() -> None:
    page = status_page([], MenuFacts(file_problems=("1:1: a", "2:2: b", "3:3: c", "4:4: d")))
    assert "last working version" in page.notice
    assert page.notice.splitlines()[-1] == "and 1 more"
    assert (
        "last working"
        not in status_page([], MenuFacts(file_problems=("a",), file_in_force=False)).notice
    )
    assert status_page([], MenuFacts()).notice == ""


def test_every_state_has_its_pictures() -> None:
    made = icons()
    assert made.keys() == {state.value for state in IconState}
    assert all(set(sizes) == set(WINDOW_SIZES) for sizes in made.values())
    assert all(png.startswith(b"\x89PNG") for sizes in made.values() for png in sizes.values())


def test_no_token_passes() -> None:
    assert "s3cr3t" not in repr(status_page([READY], MenuFacts()))


def test_kernels_stand_below_the_state() -> None:
    busy = change(READY, kernels=Activity(0.0, busy=1, idle=1))
    (row,) = status_page([busy], MenuFacts()).rows
    assert row.words == "connected\n2 kernels, 1 busy"
