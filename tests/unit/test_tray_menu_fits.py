"""The menu fits the screen, whatever there is to show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.servers import make_server
from tests.support.snapshots import change, snap
from tests.unit.test_tray_menu import FORWARDS, JUPYTERS, PAGE, READY, forwarding, servers
from trayconnect.core.command import Command
from trayconnect.core.errors import Problem
from trayconnect.services.protocol import Level
from trayconnect.sessions.snapshot import Snapshot
from trayconnect.sessions.state import State
from trayconnect.tray.menu import MenuFacts, build_view
from trayconnect.tray.menu_levels import LINES
from trayconnect.tray.menu_server import needs_you_line, server_lines, server_submenu
from trayconnect.tray.view import Item

LOST = Problem("No route to lab.example.org", "Check the network. " * 30)
PROBLEMS = st.sampled_from(
    [
        Problem("It refused", "Ask its administrator"),
        Problem("No route " * 20, "Check the network"),
        LOST,
        Problem("The host key changed", "\n".join(f"line {n}" for n in range(12))),
    ]
)
FORWARD_SETS = st.sampled_from(
    [
        (),
        tuple(FORWARDS),
        tuple({"name": f"f{n}", "local_port": 7000 + n, "port": 7000 + n} for n in range(40)),
    ]
)


@st.composite
def snapshots(draw: st.DrawFn) -> list[Snapshot]:
    """A file of servers, most of them off in a long one."""
    count = draw(st.one_of(st.integers(0, 12), st.integers(0, 60), st.just(99)))
    busy = draw(st.integers(0, count)) if count <= 20 else draw(st.integers(0, 30))
    names: list[list[str | None]] = [[None], [None, "Lab"], [*map(str, range(30))]]
    groups = st.sampled_from(draw(st.sampled_from(names)))
    found = []
    for number in range(count):
        server = make_server(f"server {number}", group=draw(groups))
        if number >= busy:
            found.append(snap(server=server))
            continue
        state = draw(st.sampled_from(State))
        one = snap(
            server=server,
            state=state,
            problem=draw(st.none() | PROBLEMS) if state is not State.OFF else None,
            asking=state is State.NEEDS_YOU and draw(st.booleans()),
            retry_at=1.0,
        )
        if state is State.UP and draw(st.booleans()):
            one = change(one, level=Level.LOGGED_IN, page=PAGE, jupyters=JUPYTERS)
        one = forwarding(one, *draw(FORWARD_SETS))
        found.append(change(one, server=one.server.model_copy(update={"group": server.group})))
    return draw(st.permutations(found)) if count <= 20 else found


FACTS = st.builds(
    MenuFacts,
    autostart=st.none() | st.booleans(),
    file_problems=st.lists(st.sampled_from(["servers.yaml:1:1: no", "x " * 200]), max_size=9).map(
        tuple
    ),
)


def every(items: Sequence[Item]) -> Iterator[Item]:
    for item in items:
        yield item
        yield from every(item.children)


def levels(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    yield items
    for item in items:
        if item.children:
            yield from levels(item.children)


def actions_of(snapshot: Snapshot) -> set[Command]:
    offered = [*server_lines(snapshot), *server_submenu(snapshot)]
    if snapshot.state is State.NEEDS_YOU:
        offered.append(needs_you_line(snapshot))
    return {item.command for item in every(offered) if item.command is not None}


@given(snapshots(), FACTS)
def test_every_menu_fits_and_lacks_nothing(found: list[Snapshot], facts: MenuFacts) -> None:
    items = build_view(found, facts).items
    assert max(len(level) for level in levels(items)) <= LINES
    for level in levels(items):
        keys = [item.key for item in level]
        assert len(keys) == len(set(keys))

    on_top = {item.command for item in items if item.enabled}
    assert {Command("edit-servers"), Command("quit")} <= on_top
    offered = [item.command for item in every(items) if item.command is not None]
    for snapshot in found:
        assert actions_of(snapshot) <= set(offered), snapshot.name
    toggles = Counter(a.server for a in offered if a.name == "copy-diagnostics")
    assert set(toggles.values()) <= {1}, "each server has one place"

    advice = {line for s in found if s.problem for line in s.problem.advice.splitlines()}
    seen = Counter(item.text.strip() for item in items if item.text.strip() in advice)
    assert set(seen.values()) <= {1}, "the same advice stands once"


@given(snapshots())
def test_the_lines_of_a_submenu_read_differently(found: list[Snapshot]) -> None:
    for level in levels(build_view(found, MenuFacts()).items):
        if level and level[-1].key != "quit":
            texts = [item.text.strip() for item in level if item.enabled and not item.separator]
            assert len(texts) == len(set(texts))


def test_a_server_in_trouble_of_many_has_one_line_and_its_advice_below() -> None:
    trouble = servers(3, state=State.FAILED, problem=LOST)
    items = build_view(trouble, MenuFacts()).items
    assert [item.text for item in items[:3]] == [
        f"⚠ s00{number}: failed: {LOST.title}" for number in range(3)
    ]
    toggle, problem, advice, *_ = items[0].children
    assert (toggle.text, toggle.command) == ("Connect", Command("connect", "s000"))
    assert problem.command == Command("show-problem", "s000")
    assert advice.text.strip().startswith("Check the network")


def test_two_servers_with_the_same_trouble_are_advised_once() -> None:
    problem = Problem("No route to lab.example.org", "Check the network")
    items = build_view(servers(2, state=State.FAILED, problem=problem), MenuFacts()).items
    assert [item.text.strip() for item in items].count("Check the network") == 1
    assert [item.key for item in items if item.checked is not None] == [
        "server s000",
        "server s001",
    ]


@pytest.mark.parametrize("count", [2, 14, 20])
def test_one_of_many_that_is_connected_hides_nothing(count: int) -> None:
    many = [READY, *servers(count - 1)]
    items = build_view(many, MenuFacts(autostart=True)).items
    assert items[0].text == "GPU box: connected"
    assert Command("open", "GPU box") in {item.command for item in every(items)}
    assert [item.key for item in items[-3:]] == ["edit", "autostart", "quit"]


def test_a_long_list_that_waits_for_the_user_is_bounded() -> None:
    items = build_view(servers(9, state=State.NEEDS_YOU, asking=True), MenuFacts()).items
    first = [item for item in items if item.key.startswith("needs")]
    assert [item.text for item in first[2:]] == [
        "⚠ s002 waits for your answer",
        "⚠ 6 more need you",
    ]
    assert len(first[-1].children) == 6
